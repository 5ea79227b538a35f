//! A TA in memory: loading, the entry points, and the loop that serves its host functions.

use std::fmt;

use tamarack_tee::{Params, TaError, TaInstance, TaLimits, TaReturn, TaServices};
use wasmi::{
    CompilationMode, Config, EnforcedLimits, Engine, Error, ExternType, Func, FuncType, Linker, Memory,
    Module, ResumableCall, Store, StoreLimits, StoreLimitsBuilder, TrapCode, Val, ValType,
};

use super::guest::Guest;
use super::host::{FUNCTIONS, Host, HostFunction, MAX_ARGUMENTS, Stop};
use super::params::{CopyOut, Layout, SESSION};
use super::{MAX_CALL_DEPTH, MAX_MODULE, MAX_TABLE};

/// Name of the module that all imports come from.
const IMPORT_MODULE: &str = "tee";
/// The export that gives the parameter area; its name carries the version of the interface.
const PARAMS_EXPORT: &str = "tamarack_params_v1";
/// Cells of the value stack, 8 bytes each.
const STACK_CELLS: usize = 64 << 10;
const PAGE: u64 = 65_536;

/// A loaded TA.
pub(super) struct Instance {
    store: Store<StoreLimits>,
    memory: Memory,
    entry: EntryPoints,
    limits: TaLimits,
    state: State,
}

struct EntryPoints {
    params: Func,
    create: Func,
    open_session: Func,
    invoke: Func,
    close_session: Func,
    destroy: Func,
}

/// Where in its life the TA is.
enum State {
    Loaded,
    Created,
    Destroyed,
    /// It stopped abnormally, for this reason.
    Dead(String),
}

/// A host function that the TA has called; the call is suspended until it is served.
#[derive(Debug)]
struct Suspended {
    function: usize,
    arguments: [u32; MAX_ARGUMENTS],
}

impl fmt::Display for Suspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "call of {}", FUNCTIONS[self.function].name)
    }
}

impl wasmi::errors::HostError for Suspended {}

impl Instance {
    pub(super) fn load(module: &[u8], limits: &TaLimits) -> Result<Self, TaError> {
        if module.len() > MAX_MODULE {
            return Err(invalid(format!("{} bytes are more than {MAX_MODULE}", module.len())));
        }
        let engine = Engine::new(&config());
        // The whole module is valid before any of it is translated: the translator trusts what the validator let through,
        // and it takes in an operator behind the end of a function before it hears that there must be none.
        Module::validate(&engine, module).map_err(|e| invalid(e.to_string()))?;
        let module = Module::new(&engine, module).map_err(|e| invalid(e.to_string()))?;
        check_imports(&module)?;
        check_memory(&module, limits)?;
        let mut store = Store::new(
            &engine,
            StoreLimitsBuilder::new()
                .memory_size(limits.memory)
                .table_elements(MAX_TABLE)
                .instances(1)
                .tables(1)
                .memories(1)
                .build(),
        );
        store.limiter(|limits| limits);
        let instance = linker(&engine)?
            .instantiate_and_start(&mut store, &module)
            .map_err(|e| invalid(e.to_string()))?;
        let memory =
            instance.get_memory(&store, "memory").ok_or_else(|| invalid("no export memory".into()))?;
        let export = |name: &str, arguments: usize, results: usize| {
            let func = instance.get_func(&store, name).ok_or_else(|| invalid(format!("no export {name}")))?;
            if func.ty(&store) != function_type(arguments, results) {
                return Err(invalid(format!("the export {name} has another type than the interface")));
            }
            Ok(func)
        };
        let entry = EntryPoints {
            params: export(PARAMS_EXPORT, 1, 1)?,
            create: export("TA_CreateEntryPoint", 0, 1)?,
            open_session: export("TA_OpenSessionEntryPoint", 3, 1)?,
            invoke: export("TA_InvokeCommandEntryPoint", 4, 1)?,
            close_session: export("TA_CloseSessionEntryPoint", 1, 0)?,
            destroy: export("TA_DestroyEntryPoint", 0, 0)?,
        };
        Ok(Self { store, memory, entry, limits: *limits, state: State::Loaded })
    }

    /// Refuses a call that the TA's state does not allow; gives it its fuel otherwise.
    fn begin(&mut self) -> Result<(), TaError> {
        match &self.state {
            State::Created => self.refuel(),
            State::Loaded => Err(TaError::BadParameters("the TA is not created")),
            State::Destroyed => Err(TaError::BadParameters("the TA is destroyed")),
            State::Dead(why) => Err(TaError::Panic(format!("it stopped earlier: {why}"))),
        }
    }

    fn refuel(&mut self) -> Result<(), TaError> {
        self.store.set_fuel(self.limits.fuel).map_err(|e| TaError::Panic(e.to_string()))
    }

    /// Ends the TA for good.
    fn kill(&mut self, why: String) -> TaError {
        self.state = State::Dead(why.clone());
        TaError::Panic(why)
    }

    /// Calls `func` and serves its host functions until it returns; its result, or 0 if it has none.
    fn call(
        &mut self,
        services: &mut dyn TaServices,
        func: Func,
        arguments: &[u32],
        results: usize,
    ) -> Result<u32, TaError> {
        let inputs: Vec<Val> = arguments.iter().map(|a| Val::I32(a.cast_signed())).collect();
        let mut outputs = [Val::I32(0)];
        let outputs = &mut outputs[..results];
        let mut step = func.call_resumable(&mut self.store, &inputs, outputs);
        loop {
            let suspended = match step {
                Ok(ResumableCall::Finished) => break,
                Ok(ResumableCall::OutOfFuel(_)) => return Err(self.kill(Stop::Fuel.to_string())),
                Ok(ResumableCall::HostTrap(suspended)) => suspended,
                Err(error) => return Err(self.kill(reason(&error))),
            };
            let Some(request) = suspended.host_error().downcast_ref::<Suspended>() else {
                return Err(self.kill(suspended.host_error().to_string()));
            };
            let function = &FUNCTIONS[request.function];
            let arguments = request.arguments;
            let code = match self.serve(services, function, arguments) {
                Ok(code) => Val::I32(code.0.cast_signed()),
                Err(stop) => return Err(self.kill(format!("{}: {stop}", function.name))),
            };
            let answer = if function.result { std::slice::from_ref(&code) } else { &[] };
            step = suspended.resume(&mut self.store, answer, outputs);
        }
        match outputs {
            [Val::I32(value)] => Ok(value.cast_unsigned()),
            _ => Ok(0),
        }
    }

    fn serve(
        &mut self,
        services: &mut dyn TaServices,
        function: &HostFunction,
        arguments: [u32; MAX_ARGUMENTS],
    ) -> Result<TaReturn, Stop> {
        // Metering is always on, so the fuel can be read and set.
        let fuel = self.store.get_fuel().map_err(|_| Stop::Fuel)?;
        let mut host = Host {
            guest: Guest(self.memory.data_mut(&mut self.store)),
            services,
            fuel,
            object_size: self.limits.object_size,
        };
        let answer = function.call(&mut host, arguments);
        let fuel = host.fuel;
        self.store.set_fuel(fuel).map_err(|_| Stop::Fuel)?;
        answer
    }

    /// Calls `func` with parameters: `before` and `after` say what stands around the types and the area's address.
    fn call_with_params(
        &mut self,
        services: &mut dyn TaServices,
        func: Func,
        before: &[u32],
        session: bool,
        params: &mut Params,
    ) -> Result<u32, TaError> {
        let layout = Layout::new(params)?;
        self.begin()?;
        let area = self.call(services, self.entry.params, &[layout.size], 1)?;
        if area == 0 {
            // The TA has no memory left for this call; it may well have for another.
            return Err(TaError::BadParameters("the TA has no room for the parameters"));
        }
        let copied = layout.copy_in(&mut self.guest(), area, params);
        copied.map_err(|stop| self.kill(format!("{PARAMS_EXPORT}: {stop}")))?;
        let mut arguments = before.to_vec();
        arguments.extend([layout.types, area]);
        if session {
            arguments.push(area + SESSION);
        }
        let code = TaReturn(self.call(services, func, &arguments, 1)?);
        let guest = self.guest();
        let copied =
            layout.copy_out(&guest, area, params, code).and_then(|()| Ok(guest.read_u32(area + SESSION)?));
        let context = copied.map_err(|error| match error {
            CopyOut::Stop(stop) => self.kill(stop.to_string()),
            CopyOut::TooLong(i) => self.kill(format!("parameter {i} is longer than its capacity")),
        })?;
        succeed(code)?;
        Ok(context)
    }

    fn guest(&mut self) -> Guest<'_> {
        Guest(self.memory.data_mut(&mut self.store))
    }
}

impl TaInstance for Instance {
    fn create(&mut self, services: &mut dyn TaServices) -> Result<(), TaError> {
        if !matches!(self.state, State::Loaded) {
            return match &self.state {
                State::Dead(why) => Err(TaError::Panic(format!("it stopped earlier: {why}"))),
                _ => Err(TaError::BadParameters("the TA was created before")),
            };
        }
        self.refuel()?;
        succeed(TaReturn(self.call(services, self.entry.create, &[], 1)?))?;
        self.state = State::Created;
        Ok(())
    }

    fn open_session(&mut self, services: &mut dyn TaServices, params: &mut Params) -> Result<u32, TaError> {
        self.call_with_params(services, self.entry.open_session, &[], true, params)
    }

    fn invoke(
        &mut self,
        services: &mut dyn TaServices,
        session: u32,
        command: u32,
        params: &mut Params,
    ) -> Result<(), TaError> {
        self.call_with_params(services, self.entry.invoke, &[session, command], false, params)?;
        Ok(())
    }

    fn close_session(&mut self, services: &mut dyn TaServices, session: u32) -> Result<(), TaError> {
        self.begin()?;
        self.call(services, self.entry.close_session, &[session], 0)?;
        Ok(())
    }

    fn destroy(&mut self, services: &mut dyn TaServices) -> Result<(), TaError> {
        self.begin()?;
        self.call(services, self.entry.destroy, &[], 0)?;
        self.state = State::Destroyed;
        Ok(())
    }
}

/// Integer and float instructions of WebAssembly 2.0 without SIMD, one memory, everything translated at load, so that
/// a module that is wrong anywhere never starts.
fn config() -> Config {
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .allow_start_fn(false)
        .ignore_custom_sections(true)
        .compilation_mode(CompilationMode::Eager)
        .enforced_limits(EnforcedLimits::strict())
        .set_max_recursion_depth(MAX_CALL_DEPTH)
        .set_max_stack_height(STACK_CELLS)
        .wasm_multi_memory(false)
        .wasm_tail_call(false);
    config
}

fn linker(engine: &Engine) -> Result<Linker<StoreLimits>, TaError> {
    let mut linker = Linker::new(engine);
    for (function, entry) in FUNCTIONS.iter().enumerate() {
        let ty = function_type(entry.arguments, usize::from(entry.result));
        linker
            .func_new(IMPORT_MODULE, entry.name, ty, move |_, inputs, _| {
                let mut arguments = [0; MAX_ARGUMENTS];
                for (argument, input) in arguments.iter_mut().zip(inputs) {
                    *argument = input.i32().unwrap_or_default().cast_unsigned();
                }
                Err(Error::host(Suspended { function, arguments }))
            })
            .map_err(|e| invalid(e.to_string()))?;
    }
    Ok(linker)
}

fn check_imports(module: &Module) -> Result<(), TaError> {
    for import in module.imports() {
        let name = format!("{}.{}", import.module(), import.name());
        let known = FUNCTIONS.iter().find(|f| import.module() == IMPORT_MODULE && f.name == import.name());
        let Some(known) = known else {
            return Err(invalid(format!("the import {name} does not exist")));
        };
        let expected = function_type(known.arguments, usize::from(known.result));
        if !matches!(import.ty(), ExternType::Func(ty) if *ty == expected) {
            return Err(invalid(format!("the import {name} has another type than the interface")));
        }
    }
    Ok(())
}

fn check_memory(module: &Module, limits: &TaLimits) -> Result<(), TaError> {
    match module.get_export("memory") {
        Some(ExternType::Memory(ty)) if ty.minimum().saturating_mul(PAGE) > limits.memory as u64 => {
            Err(invalid(format!(
                "it asks for {} bytes of memory and may have {}",
                ty.minimum().saturating_mul(PAGE),
                limits.memory
            )))
        }
        Some(ExternType::Memory(_)) => Ok(()),
        _ => Err(invalid("no export memory".into())),
    }
}

fn function_type(arguments: usize, results: usize) -> FuncType {
    FuncType::new(vec![ValType::I32; arguments], vec![ValType::I32; results])
}

fn succeed(code: TaReturn) -> Result<(), TaError> {
    if code == TaReturn::SUCCESS { Ok(()) } else { Err(TaError::Returned(code)) }
}

fn reason(error: &Error) -> String {
    match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => Stop::Fuel.to_string(),
        _ => error.to_string(),
    }
}

fn invalid(why: String) -> TaError {
    TaError::Invalid(why)
}
