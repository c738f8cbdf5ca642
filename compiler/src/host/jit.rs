//! Compiling with cranelift-jit, and calling what came out. The unsafe part of the host.

use super::Error;
use super::helpers;
use super::memory::{Block, State};
use super::prepare::{self, Ids};
use crate::lowered::Module;
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, Signature, UserFuncName, types};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{DataId, FuncId, Linkage, Module as _, default_libcall_names};
use std::cell::UnsafeCell;
use std::collections::BTreeMap;

/// The state, which compiled code reaches through helpers while `run` is going on.
pub struct Shared(UnsafeCell<State>);

impl Shared {
    pub fn new(state: State) -> Shared {
        Shared(UnsafeCell::new(state))
    }

    pub fn get_mut(&mut self) -> &mut State {
        self.0.get_mut()
    }

    /// The state, for as long as `f` takes; `f` must not run compiled code.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        // SAFETY: the host is used by one thread (it holds an `UnsafeCell` behind a pointer and is not `Sync`), and no
        // two calls of `with` overlap: the closures given run no compiled code, so none re-enters.
        f(unsafe { &mut *self.0.get() })
    }
}

pub struct Code {
    /// taken when it is dropped
    jit: Option<JITModule>,
    functions: Vec<FuncId>,
}

impl Drop for Code {
    fn drop(&mut self) {
        if let Some(jit) = self.jit.take() {
            // SAFETY: nothing of it is running, for `run` borrows the code, and addresses don't outlive it.
            unsafe { jit.free_memory() };
        }
    }
}

type Program = extern "C" fn(u64) -> u64;
/// Callbacks have up to four parameters; those that it doesn't have are ignored by the C calling convention.
type Callback = extern "C" fn(u64, u64, u64, u64) -> u64;

/// Calls a function of the module that a helper got the address of.
pub fn call_back(address: u64, args: [u64; 4]) -> u64 {
    // SAFETY: programs take addresses of functions by `func_addr` only, which gives compiled code with integer
    // parameters in the C calling convention.
    let f: Callback = unsafe { std::mem::transmute(address as usize) };
    f(args[0], args[1], args[2], args[3])
}

/// Reads memory that `State::readable` allows, or that the program gave as its own (keys, values, records).
pub fn read(at: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    // SAFETY: the caller checked the range, or the verified contract of the helper says that it is the program's own.
    unsafe { std::ptr::copy_nonoverlapping(at as *const u8, out.as_mut_ptr(), len) };
    out
}

/// Writes memory that a program gave a helper to write to.
pub fn write(at: u64, bytes: &[u8]) {
    // SAFETY: as for `read`; the program's own memory is never a Rust object that is borrowed meanwhile.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
}

extern "C" fn dispatch(shared: *const Shared, number: u64, a: u64, b: u64, c: u64, d: u64, e: u64) -> u64 {
    // SAFETY: the trampolines pass the address of the box that owns the state, which lives as long as the code.
    let shared = unsafe { &*shared };
    helpers::call(shared, number as u32, [a, b, c, d, e])
}

impl Code {
    pub fn run(&self, shared: &Shared, function: usize, ctx: &[u8]) -> u64 {
        let Some(jit) = &self.jit else { return 0 };
        let mut copy = Block::new(ctx.len());
        copy.write(0, ctx);
        // what lies below this on the stack is the program's frames
        let marker = 0u64;
        let top = std::ptr::from_ref(&marker) as u64;
        shared.with(|s| {
            s.regions.add(copy.address(), ctx.len());
            s.stack = top.saturating_sub(1 << 20)..top;
        });
        let address = jit.get_finalized_function(self.functions[function]);
        // SAFETY: compiled with one integer parameter (checked by `Host::run`) and one result.
        let f: Program = unsafe { std::mem::transmute(address) };
        let result = f(copy.address());
        shared.with(|s| {
            s.regions.remove(copy.address());
            s.stack = 0..0;
            s.bury();
        });
        result
    }
}

struct Jit<'a> {
    jit: JITModule,
    shared: &'a Shared,
    functions: Vec<FuncId>,
    objects: Vec<DataId>,
    helpers: BTreeMap<u32, FuncId>,
    dispatch: FuncId,
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error(format!("the JIT: {e}"))
}

fn signature(jit: &JITModule, params: usize) -> Signature {
    let mut s = jit.make_signature();
    s.params = vec![AbiParam::new(types::I64); params];
    s.returns = vec![AbiParam::new(types::I64)];
    s
}

pub fn compile(module: &Module, shared: &Shared) -> Result<Code, Error> {
    if !matches!(std::env::consts::ARCH, "x86_64" | "aarch64") {
        return Err(Error("this machine is neither x86-64 nor arm64".to_owned()));
    }
    let flags = [("enable_verifier", "true"), ("opt_level", "none")];
    let mut builder = JITBuilder::with_flags(&flags, default_libcall_names()).map_err(failed)?;
    builder.symbol("awl_helper", dispatch as *const u8);
    for i in 0..module.objects.len() {
        if let Some(at) = shared.with(|s| s.object_address(i)) {
            builder.symbol(format!("object.{i}"), at as *const u8);
        }
    }
    let mut jit = JITModule::new(builder);
    let sig = signature(&jit, 7);
    let dispatch = jit.declare_function("awl_helper", Linkage::Import, &sig).map_err(failed)?;
    let mut objects = Vec::new();
    for i in 0..module.objects.len() {
        let name = format!("object.{i}");
        let id = jit.declare_data(&name, Linkage::Import, true, false);
        objects.push(id.map_err(failed)?);
    }
    let conv = jit.isa().default_call_conv();
    let mut functions = Vec::new();
    for f in &module.functions {
        let mut sig = f.clif.signature.clone();
        sig.call_conv = conv;
        functions.push(jit.declare_anonymous_function(&sig).map_err(failed)?);
    }
    let mut j = Jit { jit, shared, functions, objects, helpers: BTreeMap::new(), dispatch };
    let mut ctx = j.jit.make_context();
    for i in 0..module.functions.len() {
        ctx.func = prepare::prepare(module, i, conv, &mut j)?;
        let name = &module.functions[i].name;
        j.jit.define_function(j.functions[i], &mut ctx).map_err(|e| Error(format!("`{name}`: {e:?}")))?;
        j.jit.clear_context(&mut ctx);
    }
    j.jit.finalize_definitions().map_err(failed)?;
    Ok(Code { jit: Some(j.jit), functions: j.functions })
}

impl Ids for Jit<'_> {
    /// A function of five parameters that calls `dispatch` with the number.
    fn helper(&mut self, number: u32) -> Result<u32, Error> {
        if let Some(id) = self.helpers.get(&number) {
            return Ok(id.as_u32());
        }
        let sig = signature(&self.jit, 5);
        let id = self.jit.declare_anonymous_function(&sig).map_err(failed)?;
        let mut ctx = self.jit.make_context();
        ctx.func = ir::Function::with_name_signature(UserFuncName::user(0, id.as_u32()), sig);
        let mut frontend = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut ctx.func, &mut frontend);
        let target = self.jit.declare_func_in_func(self.dispatch, b.func);
        let block = b.create_block();
        b.append_block_params_for_function_params(block);
        b.switch_to_block(block);
        let shared = std::ptr::from_ref(self.shared) as i64;
        let mut args = vec![b.ins().iconst(types::I64, shared), b.ins().iconst(types::I64, i64::from(number))];
        args.extend(b.block_params(block));
        let call = b.ins().call(target, &args);
        let result = b.inst_results(call)[0];
        b.ins().return_(&[result]);
        b.seal_all_blocks();
        b.finalize(self.jit.isa().frontend_config());
        self.jit.define_function(id, &mut ctx).map_err(failed)?;
        self.helpers.insert(number, id);
        Ok(id.as_u32())
    }

    fn function(&self, index: usize) -> Option<u32> {
        self.functions.get(index).map(|f| f.as_u32())
    }

    fn object(&self, index: usize) -> Option<u32> {
        self.objects.get(index).map(|d| d.as_u32())
    }
}
