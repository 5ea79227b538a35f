//! What lies between the two ends.

/// What the link does to each message; it sees the number of the message and may answer with anything.
pub type Link = Box<dyn FnMut(usize, &[u8]) -> Delivery>;

/// What arrives.
pub enum Delivery {
    /// The message as it was sent.
    Intact,
    /// Another one.
    Altered(Vec<u8>),
    /// Nothing.
    Lost,
    /// The message twice.
    Twice,
}

/// Delivers everything.
pub fn honest() -> Link {
    Box::new(|_, _| Delivery::Intact)
}

/// Loses the message of this number.
pub fn losing(number: usize) -> Link {
    Box::new(move |n, _| if n == number { Delivery::Lost } else { Delivery::Intact })
}

/// Delivers the message of this number twice.
pub fn repeating(number: usize) -> Link {
    Box::new(move |n, _| if n == number { Delivery::Twice } else { Delivery::Intact })
}

/// Flips a bit of the message of this number: the one that begins part `step` of its `steps` parts.
pub fn flipping(number: usize, step: usize, steps: usize) -> Link {
    Box::new(move |n, message| {
        if n != number {
            return Delivery::Intact;
        }
        let mut altered = message.to_vec();
        let at = altered.len() * step / steps;
        altered[at] ^= 1 << (step % 8);
        Delivery::Altered(altered)
    })
}
