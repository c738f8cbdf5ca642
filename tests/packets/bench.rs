//! A script's first program on packets made by hand.

use awl_compiler::artifact::Artifact;
use awl_compiler::compile::compile;
use awl_compiler::sema::Options;
use awl_compiler::source::SourceMap;
use awl_runtime::load::{Loaded, load};
use awl_runtime::maps::View;
use awl_runtime::sys::bpf::{PacketRun, test_packet, test_run};
use awl_runtime::target::HostTarget;
use std::os::fd::AsFd;

pub struct Bench {
    artifact: Artifact,
    loaded: Loaded,
}

impl Bench {
    /// `None` where programs can't be loaded.
    pub fn new(script: &str) -> Option<Bench> {
        Bench::with(script, &[], true)
    }

    /// The same without `--enforce`.
    pub fn observing(script: &str) -> Option<Bench> {
        Bench::with(script, &[], false)
    }

    /// A script with parameters, applied.
    pub fn tool(script: &str, params: &[&str]) -> Option<Bench> {
        Bench::with(script, params, true)
    }

    fn with(script: &str, params: &[&str], enforce: bool) -> Option<Bench> {
        if !crate::common::may_load() {
            return None;
        }
        let mut sources = SourceMap::default();
        let file = sources.add("test", script);
        let options = Options { enforce, params: params.iter().map(|p| p.to_string()).collect(), ..Default::default() };
        let compiled = compile(&sources, file, &HostTarget::new(), &options, false);
        let artifact = compiled.artifact.unwrap_or_else(|| panic!("{script}\n{:#?}", compiled.diagnostics));
        let loaded =
            load(&artifact, &|_| None, false, &Default::default()).unwrap_or_else(|d| panic!("{script}\n{} {:?}", d.message, d.notes));
        Some(Bench { artifact, loaded })
    }

    /// An error where the kernel itself wants no such packet.
    pub fn run(&self, packet: &[u8]) -> std::io::Result<PacketRun> {
        self.try_program(0, packet)
    }

    pub fn run_program(&self, program: usize, packet: &[u8]) -> PacketRun {
        self.try_program(program, packet).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Numbers of the programs that run for packets.
    pub fn packet_programs(&self) -> Vec<usize> {
        let all = self.artifact.programs.iter().enumerate();
        all.filter(|(_, p)| awl_compiler::packet::is_packet(p.kind)).map(|(i, _)| i).collect()
    }

    /// An error where the kernel itself wants no such packet.
    pub fn try_program(&self, program: usize, packet: &[u8]) -> std::io::Result<PacketRun> {
        test_packet(self.loaded.programs[program].as_fd(), packet, 1)
    }

    /// Runs a `begin` program.
    pub fn begin(&self, program: usize) {
        test_run(self.loaded.programs[program].as_fd()).expect("it runs");
    }

    /// The value of a map without keys.
    pub fn number(&self, name: &str) -> i64 {
        self.value(name).map_or(0, |v| i64::from_le_bytes(v[..8].try_into().expect("a word")))
    }

    /// The same of a string.
    pub fn text(&self, name: &str) -> String {
        let bytes = self.value(name).unwrap_or_default();
        let end = bytes.iter().position(|b| *b == 0).expect("an end");
        assert!(bytes[end..].iter().all(|b| *b == 0), "zeros behind the end, as keys need them");
        String::from_utf8(bytes[..end].to_vec()).expect("text")
    }

    fn value(&self, name: &str) -> Option<Vec<u8>> {
        let index = self.artifact.plan.maps.iter().position(|m| m.name == name).expect("a map of the script");
        let rows = View::new(&self.artifact, &self.loaded).read(index).expect("readable");
        rows.iter().next().and_then(|r| r.slots().next().map(<[u8]>::to_vec))
    }
}
