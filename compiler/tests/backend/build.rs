//! Building modules by hand.

use awl_compiler::artifact::{KernelMap, MapKind, ProgramKind, Section};
use awl_compiler::lowered::{Function, LOCAL, Line, Module, NAMESPACE_DATA, NAMESPACE_FUNC, Object};
use cranelift_codegen::ir::{
    self, AbiParam, ExtFuncData, ExternalName, FuncRef, GlobalValueData, InstBuilder, Signature, StackSlot, StackSlotData, StackSlotKind,
    UserExternalName, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{self, CallConv, TargetFrontendConfig};
use cranelift_codegen::settings;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use std::sync::LazyLock;

/// 64-bit pointers; nothing else of it matters.
static CONFIG: LazyLock<TargetFrontendConfig> = LazyLock::new(|| {
    let flags = settings::Flags::new(settings::builder());
    isa::lookup_by_name(std::env::consts::ARCH).unwrap().finish(flags).unwrap().frontend_config()
});

pub fn empty() -> Module {
    Module { functions: Vec::new(), kfuncs: Vec::new(), objects: Vec::new(), maps: Vec::new(), sections: Vec::new(), lines: Vec::new() }
}

pub fn signature(params: usize, results: usize) -> Signature {
    let mut s = Signature::new(CallConv::SystemV);
    s.params = vec![AbiParam::new(types::I64); params];
    s.returns = vec![AbiParam::new(types::I64); results];
    s
}

/// Adds a function whose body `f` builds from its parameters, in a block that is current.
pub fn add(m: &mut Module, name: &str, program: Option<ProgramKind>, params: usize, f: impl FnOnce(&mut FunctionBuilder<'_>, &[Value])) {
    let clif_name = UserFuncName::user(0, LOCAL + m.functions.len() as u32);
    let mut clif = ir::Function::with_name_signature(clif_name, signature(params, 1));
    let mut ctx = FunctionBuilderContext::new();
    let mut b = FunctionBuilder::new(&mut clif, &mut ctx);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    let params = b.block_params(entry).to_vec();
    f(&mut b, &params);
    b.seal_all_blocks();
    b.finalize(*CONFIG);
    m.functions.push(Function { name: name.to_owned(), program, clif, slots: Vec::new() });
}

/// A raw tracepoint program.
pub fn program(m: &mut Module, name: &str, f: impl FnOnce(&mut FunctionBuilder<'_>, &[Value])) {
    add(m, name, Some(ProgramKind::RawTracepoint), 1, f);
}

pub fn map(m: &mut Module, name: &str, kind: MapKind, key: u32, value: u32, entries: u32) -> usize {
    m.maps.push(KernelMap { name: name.to_owned(), kind, key_size: key, value_size: value, max_entries: entries, pin: None, stacks: None });
    m.objects.push(Object::Map(m.maps.len() - 1));
    m.objects.len() - 1
}

pub fn section(m: &mut Module, name: &str, size: u32, init: &[u8]) -> usize {
    m.sections.push(Section {
        name: name.to_owned(),
        size,
        per_cpu: 0,
        init: init.to_vec(),
        readonly: name.starts_with(".rodata"),
        mapped: false,
    });
    m.objects.push(Object::Section(m.sections.len() - 1));
    m.objects.len() - 1
}

pub fn line(m: &mut Module, number: u32, text: &str) -> ir::SourceLoc {
    m.lines.push(Line { file: "test.bt".to_owned(), line: number, column: 1, text: text.into(), ..Line::default() });
    ir::SourceLoc::new(m.lines.len() as u32 - 1)
}

/// Address of an object of the module.
pub fn data(b: &mut FunctionBuilder<'_>, object: usize) -> Value {
    let name = b.func.declare_imported_user_function(UserExternalName::new(NAMESPACE_DATA, object as u32));
    let gv =
        b.create_global_value(GlobalValueData::Symbol { name: ExternalName::user(name), offset: 0.into(), colocated: false, tls: false });
    b.ins().symbol_value(types::I64, gv)
}

pub fn func(b: &mut FunctionBuilder<'_>, number: u32, params: usize) -> FuncRef {
    let name = b.func.declare_imported_user_function(UserExternalName::new(NAMESPACE_FUNC, number));
    let signature = b.import_signature(signature(params, 1));
    b.import_function(ExtFuncData { name: ExternalName::user(name), signature, colocated: false, patchable: false })
}

/// Calls a helper, or `LOCAL + index`, or `KFUNC + index`.
pub fn call(b: &mut FunctionBuilder<'_>, number: u32, args: &[Value]) -> Value {
    let f = func(b, number, args.len());
    let call = b.ins().call(f, args);
    b.inst_results(call)[0]
}

pub fn slot(b: &mut FunctionBuilder<'_>, size: u32) -> StackSlot {
    b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 3))
}
