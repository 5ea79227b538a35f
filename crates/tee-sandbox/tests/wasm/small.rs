//! The TA in Rust and the template in C, which share their second command: how often the first has succeeded.
use tamarack_tee::{Param, TaError, TaReturn};

use super::services::Memory;
use super::{example, start};

/// Command 1 turns `input` into `expected`; command 2 counts; what is wrong is refused.
fn check(name: &str, input: &[u8], expected: &[u8]) {
    let mut services = Memory::new();
    for count in 1..=2 {
        // A fresh instance each time: the count is persistent.
        let mut ta = start(&example(name), &mut services);
        let session = ta.open_session(&mut services, &mut vec![]).unwrap();
        let call = |capacity| {
            vec![Param::MemrefInput(input.to_vec()), Param::MemrefOutput { capacity, data: vec![] }]
        };
        let mut params = call(100);
        ta.invoke(&mut services, session, 1, &mut params).unwrap();
        assert_eq!(params[1], Param::MemrefOutput { capacity: 100, data: expected.to_vec() });

        let mut params = call(1);
        let result = ta.invoke(&mut services, session, 1, &mut params);
        assert_eq!(result, Err(TaError::Returned(TaReturn::SHORT_BUFFER)));
        assert_eq!(params[1], Param::MemrefOutput { capacity: expected.len() as u32, data: vec![] });

        let mut params = vec![Param::ValueOutput(0, 0)];
        ta.invoke(&mut services, session, 2, &mut params).unwrap();
        assert_eq!(params, [Param::ValueOutput(count, 0)]);

        for (command, expected) in
            [(1, TaReturn::BAD_PARAMETERS), (2, TaReturn::BAD_PARAMETERS), (3, TaReturn::NOT_SUPPORTED)]
        {
            let result = ta.invoke(&mut services, session, command, &mut vec![]);
            assert_eq!(result, Err(TaError::Returned(expected)));
        }
        ta.close_session(&mut services, session).unwrap();
        ta.destroy(&mut services).unwrap();
    }
}

#[test]
fn the_ta_in_rust_greets() {
    check("hello", b"Ada", b"Hello, Ada!");
}

#[test]
fn the_template_in_c_echoes() {
    check("template-c", b"echo", b"echo");
}
