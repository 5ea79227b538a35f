use tamarack_tee::{Param, Params, TaError, TaReturn};

use super::services::Memory;
use super::{example, start};

const OPEN: u32 = 1;
const CLOSE: u32 = 2;
const STATUS: u32 = 3;

#[test]
fn the_valve_obeys() {
    let mut services = Memory { valve: Some(false), ..Memory::new() };
    let mut ta = start(&example("valve"), &mut services);
    let session = ta.open_session(&mut services, &mut Vec::new()).unwrap();
    let steps = [
        (STATUS, 0, 0, "status"),
        (OPEN, 1, 1, "open"),
        (OPEN, 1, 1, "open"),
        (STATUS, 1, 1, "status"),
        (CLOSE, 0, 2, "close"),
        (CLOSE, 0, 2, "close"),
    ];
    for (command, position, movements, sent) in steps {
        let mut params = vec![Param::ValueOutput(7, 7)];
        ta.invoke(&mut services, session, command, &mut params).unwrap();
        assert_eq!(params, [Param::ValueOutput(position, movements)]);
        assert_eq!(services.valve, Some(position == 1));
        assert_eq!(services.valve_commands.last().unwrap(), sent);
    }
}

#[test]
fn a_valve_that_is_not_bound_to_the_ta_does_not_move() {
    let mut services = Memory::new();
    let mut ta = start(&example("valve"), &mut services);
    let code = ta.invoke(&mut services, 0, OPEN, &mut vec![Param::ValueOutput(0, 0)]);
    assert_eq!(code, Err(TaError::Returned(TaReturn::ACCESS_DENIED)));
    assert!(services.valve_commands.is_empty());
}

#[test]
fn wrong_calls_do_not_move_the_valve() {
    let cases: [(u32, Params, TaReturn); 4] = [
        (0, vec![Param::ValueOutput(0, 0)], TaReturn::NOT_SUPPORTED),
        (4, vec![Param::ValueOutput(0, 0)], TaReturn::NOT_SUPPORTED),
        (OPEN, vec![], TaReturn::BAD_PARAMETERS),
        (OPEN, vec![Param::ValueInput(1, 1)], TaReturn::BAD_PARAMETERS),
    ];
    for (command, mut params, expected) in cases {
        let mut services = Memory { valve: Some(false), ..Memory::new() };
        let mut ta = start(&example("valve"), &mut services);
        let code = ta.invoke(&mut services, 0, command, &mut params);
        assert_eq!(code, Err(TaError::Returned(expected)));
        assert!(services.valve_commands.is_empty());
    }
}
