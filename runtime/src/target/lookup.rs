//! The address of one symbol of the kernel, asked of the kernel itself: its list of all symbols takes it 50 ms.

use super::kallsyms::no_variables;
use crate::sys::bpf::{self, ProgSpec};
use awl_compiler::bpf::Insn;
use awl_compiler::bpf::insn::{AluOp, Cond, FP, Operand, Size};
use awl_compiler::target::Unavailable;
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_SYSCALL;
use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// `BPF_F_SLEEPABLE`: a program that is a system call has to be (5.14)
const SLEEPABLE: u32 = 1 << 4;
/// `bpf_kallsyms_lookup_name` (5.16)
const KALLSYMS_LOOKUP_NAME: i32 = 179;
/// words of a name with its final zero, which the stack has room for
const WORDS: usize = 32;
/// A variable that every kernel has.
const VARIABLE: &str = "init_task";

/// A program that looks symbols up. Loaded when first asked.
#[derive(Debug, Default)]
pub struct Lookup {
    program: OnceCell<Option<OwnedFd>>,
    variables: OnceCell<bool>,
}

impl Lookup {
    /// What `Target::kernel_symbol` answers; none where the kernel can't be asked this way, or may not be by this user.
    pub fn address(&self, name: &str) -> Option<Result<Option<u64>, Unavailable>> {
        let found = self.ask(name)?;
        if found.is_none() && !*self.variables.get_or_init(|| self.ask(VARIABLE).flatten().is_some()) {
            return Some(Err(no_variables(name)));
        }
        Some(Ok(found))
    }

    fn ask(&self, name: &str) -> Option<Option<u64>> {
        let mut context = [0u64; 2 + WORDS];
        let bytes = name.len() + 1;
        // The kernel wants a name of a byte at least, and knows none with a zero in it.
        if bytes == 1 || bytes > WORDS * 8 || name.contains('\0') {
            return None;
        }
        context[1] = bytes as u64;
        for (word, part) in context[2..].iter_mut().zip(name.as_bytes().chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..part.len()].copy_from_slice(part);
            *word = u64::from_ne_bytes(bytes);
        }
        let program = self.program.get_or_init(|| load().ok()).as_ref()?;
        match bpf::run_syscall(program.as_fd(), &mut context).ok()? as i32 {
            0 => Some(Some(context[0])),
            n if n == -libc::ENOENT => Some(None),
            _ => None,
        }
    }
}

/// Its context: where the address goes, bytes of the name, the name. Returns what the helper does.
fn load() -> io::Result<OwnedFd> {
    const NAME: i16 = -8 * (WORDS as i16 + 1);
    const FOUND: i16 = -8;
    let (imm, reg, word) = (Operand::Imm, Operand::Reg, Size::Dw);
    let mut code = vec![Insn::mov(true, 6, reg(1)), Insn::store(word, FP, FOUND, imm(0))];
    for i in 0..WORDS as i16 {
        code.push(Insn::load(word, 2, 6, 16 + 8 * i));
        code.push(Insn::store(word, FP, NAME + 8 * i, reg(2)));
    }
    let address_of = |r, at: i16| [Insn::mov(true, r, reg(FP)), Insn::alu(AluOp::Add, true, r, imm(i32::from(at)))];
    code.extend([Insn::mov(true, 0, imm(-libc::EINVAL)), Insn::load(word, 2, 6, 8)]);
    // Past the call and what follows it, to the exit.
    code.push(Insn::branch(Cond::Gt, true, 2, imm(8 * WORDS as i32), 8));
    code.extend(address_of(1, NAME));
    code.push(Insn::mov(true, 3, imm(0)));
    code.extend(address_of(4, FOUND));
    code.extend([Insn::call(0, KALLSYMS_LOOKUP_NAME), Insn::load(word, 1, FP, FOUND), Insn::store(word, 6, 0, reg(1)), Insn::exit()]);
    let code: Vec<_> = code.into_iter().map(bpf::insn).collect();
    bpf::prog_load(&ProgSpec { flags: SLEEPABLE, ..ProgSpec::new("lookup", BPF_PROG_TYPE_SYSCALL as u32, &code) }, None)
}
