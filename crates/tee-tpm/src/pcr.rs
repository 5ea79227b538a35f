use std::fmt;
use std::str::FromStr;

use tamarack_crypto::Provider;

use crate::commands::cc;
use crate::wire::Writer;

/// A set of PCRs of the SHA-256 bank, at least one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pcrs(u32);

/// Number of PCRs.
const COUNT: u8 = 24;

impl Pcrs {
    /// What a machine's boot is measured into on PCs: firmware (0), its drivers (2), the boot loader (4), Secure Boot (7).
    pub const BOOT: Self = Self(1 | 1 << 2 | 1 << 4 | 1 << 7);

    /// The set of one PCR, of 0 to 23.
    pub const fn only(number: u8) -> Self {
        Self(1 << (number % COUNT))
    }

    /// Both sets.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a PCR is in it.
    pub fn contains(self, number: u8) -> bool {
        number < COUNT && self.0 >> number & 1 == 1
    }

    /// The numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..COUNT).filter(move |number| self.contains(*number))
    }

    /// The set as bits, PCR 0 lowest.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set of these bits; None if it is empty or names PCRs that do not exist.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits != 0 && bits >> COUNT == 0).then_some(Self(bits))
    }

    /// TPML_PCR_SELECTION (Part 2, section 10.9.7).
    pub(crate) fn selection(self) -> Vec<u8> {
        let [a, b, c, _] = self.0.to_le_bytes();
        Writer::default().u32(1).u16(0x000b).u8(3).raw(&[a, b, c]).done()
    }

    /// The policy that holds only while these PCRs have `values`, given ascending: TPM2_PolicyPCR alone (Part 3, section
    /// 23.7).
    pub(crate) fn policy(self, values: &[(u8, [u8; 32])], provider: &Provider) -> [u8; 32] {
        let values: Vec<&[u8]> = values.iter().map(|(_, value)| &value[..]).collect();
        let digest = provider.sha256_parts(&values);
        provider.sha256_parts(&[&[0; 32], &cc::POLICY_PCR.to_be_bytes(), &self.selection(), &digest])
    }
}

impl fmt::Display for Pcrs {
    /// `0+2+4+7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, number) in self.numbers().enumerate() {
            let plus = if i > 0 { "+" } else { "" };
            write!(f, "{plus}{number}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Pcrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pcrs({self})")
    }
}

impl FromStr for Pcrs {
    type Err = String;

    /// Numbers of 0 to 23 with `+` between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.parse().ok().filter(|number: &u8| *number < COUNT);
        let bits = text.split('+').try_fold(0, |bits, part| number(part).map(|number| bits | 1 << number));
        bits.and_then(Self::from_bits).ok_or_else(|| format!("{text:?} is no list of PCRs such as 0+2+4+7"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_written_and_encoded() {
        let boot: Pcrs = "0+2+4+7".parse().unwrap();
        assert_eq!((boot, boot.to_string().as_str()), (Pcrs::BOOT, "0+2+4+7"));
        let with = boot.and(Pcrs::only(23));
        assert_eq!(with.numbers().collect::<Vec<_>>(), [0, 2, 4, 7, 23]);
        assert_eq!(with.selection(), [0, 0, 0, 1, 0, 0x0b, 3, 0x95, 0, 0x80]);
        for wrong in ["", "24", "0,2", "x", "0+"] {
            assert!(wrong.parse::<Pcrs>().is_err(), "{wrong}");
        }
        assert_eq!(Pcrs::from_bits(0), None);
        assert_eq!(Pcrs::from_bits(1 << 24), None);
        assert_eq!(Pcrs::from_bits(with.bits()), Some(with));
    }
}
