//! The same CLIF on the host: cranelift-jit with stand-in helpers and maps. It runs scripts without root, and it is what
//! the BPF backend is tested against.
//!
//! The code runs in this process, unchecked: only what awl's own lowering made belongs here. Division by zero and
//! `trap` behave as in BPF (`prepare`).

mod helpers;
mod jit;
mod memory;
mod prepare;

use crate::lowered::Module;
use memory::State;
use std::fmt;

/// Why a module can't run here: it breaks a rule of CLIF, or the host is not supported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// What helpers say about the world; the same for a whole run unless it is changed between runs.
#[derive(Clone, Debug)]
pub struct World {
    /// `bpf_ktime_get_ns`, `_boot_ns`, `_coarse_ns`, `_tai_ns`; goes on by `tick_ns` at each call
    pub time_ns: u64,
    pub tick_ns: u64,
    pub tgid: u32,
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
    /// cut at 15 bytes
    pub comm: String,
    /// below `cpus`
    pub cpu: u32,
    /// `bpf_get_current_task` and `_btf`: an address from `Host::expose`, or a number
    pub task: u64,
    pub cgroup_id: u64,
    /// `bpf_get_attach_cookie`
    pub cookie: u64,
    /// state of `bpf_get_prandom_u32`
    pub random: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            time_ns: 1_000_000_000,
            tick_ns: 1_000,
            tgid: 1234,
            pid: 1234,
            uid: 1000,
            gid: 1000,
            comm: "test".to_owned(),
            cpu: 0,
            task: 0,
            cgroup_id: 1,
            cookie: 0,
            random: 1,
        }
    }
}

/// A module that is ready to run, with its maps and sections.
pub struct Host {
    code: jit::Code,
    // boxed: the code holds its address
    state: Box<jit::Shared>,
    programs: Vec<bool>,
}

impl Host {
    /// One CPU.
    pub fn new(module: &Module) -> Result<Host, Error> {
        Host::with_cpus(module, 1)
    }

    /// `cpus`: slots of per-CPU maps, at least 1.
    pub fn with_cpus(module: &Module, cpus: u32) -> Result<Host, Error> {
        let state = Box::new(jit::Shared::new(State::new(module, cpus.max(1))?));
        let code = jit::compile(module, &state)?;
        let programs = module.functions.iter().map(|f| f.clif.signature.params.len() == 1).collect();
        Ok(Host { code, state, programs })
    }

    /// Runs a function of one parameter, by its index in `Module::functions`, on a copy of `ctx`. `None`: there is no
    /// such function.
    pub fn run(&mut self, function: usize, ctx: &[u8]) -> Option<u64> {
        if !*self.programs.get(function)? {
            return None;
        }
        Some(self.code.run(&self.state, function, ctx))
    }

    pub fn world(&mut self) -> &mut World {
        &mut self.state.get_mut().world
    }

    /// All keys and values of a map, by its index in `Module::maps`, in the order of the keys' bytes. The value of a
    /// per-CPU map is all CPUs' values, each padded to 8 bytes, as bpf(2) gives them.
    pub fn map(&mut self, map: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.state.get_mut().entries(map)
    }

    /// The value of one key, as `map` gives it.
    pub fn lookup(&mut self, map: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.state.get_mut().value(map, key)
    }

    /// Sets the value of one key; for per-CPU maps of all CPUs, padded. False where the map is full or a size is wrong.
    pub fn update(&mut self, map: usize, key: &[u8], value: &[u8]) -> bool {
        self.state.get_mut().set(map, key, value)
    }

    /// The bytes of a data section, by its index in `Module::sections`.
    pub fn section(&mut self, section: usize) -> &mut [u8] {
        self.state.get_mut().section(section)
    }

    /// Takes the records that were sent by ring buffers and `bpf_perf_event_output`, in their order, each with its map's
    /// index.
    pub fn events(&mut self) -> Vec<(usize, Vec<u8>)> {
        std::mem::take(&mut self.state.get_mut().events)
    }

    /// Takes the texts of `bpf_trace_printk`.
    pub fn printed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.state.get_mut().printed)
    }

    /// Puts bytes where `bpf_probe_read_*` and plain loads find them, for as long as the host lives; their address.
    pub fn expose(&mut self, bytes: &[u8]) -> u64 {
        self.state.get_mut().expose(bytes)
    }
}
