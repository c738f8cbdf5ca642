//! Packets that programs hand over whole (`skboutput`), into pcap files.
//!
//! The kernel copies packets into perf's buffers alone, one for each CPU, so these don't come by the ring of the other records.

use crate::attach;
use crate::mappings::Buffer;
use crate::output::argument;
use crate::sys::bpf::Map;
use crate::sys::perf;
use crate::sys::{clock, poll};
use awl_compiler::artifact::{Event, EventKind, MapKind, Plan};
use awl_compiler::diagnostic::Diagnostic;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What waits for packets; without buffers where the script has no `skboutput`.
#[derive(Debug, Default)]
pub struct Packets {
    buffers: Vec<Buffer>,
    files: Vec<(String, BufWriter<File>)>,
    /// can be read while one of the buffers has something
    ready: Option<OwnedFd>,
    /// ns from boot to the epoch
    real: u64,
}

/// `PERF_RECORD_LOST`, `PERF_RECORD_SAMPLE`
const LOST: u32 = 2;
const SAMPLE: u32 = 9;

impl Packets {
    /// Makes the files, and the buffers of the CPUs that are online.
    ///
    /// # Errors
    /// `output-file`, and `session` where the kernel refuses a buffer.
    pub fn open(plan: &Plan, maps: &[Map]) -> Result<Packets, Diagnostic> {
        let mut out = Packets { real: clock::boot_to_real_ns(), ..Packets::default() };
        let Some(map) = plan.kernel_maps.iter().position(|m| m.kind == MapKind::PerfEventArray).and_then(|i| maps.get(i)) else {
            return Ok(out);
        };
        for e in &plan.events {
            if let EventKind::Packet { file } = &e.kind
                && out.files.iter().all(|(name, _)| name != file)
            {
                let made = File::create(file).and_then(|f| {
                    let mut f = BufWriter::new(f);
                    f.write_all(&file_header())?;
                    f.flush()?;
                    Ok(f)
                });
                let made = made.map_err(|e2| {
                    Diagnostic::environment("output-file", format!("can't write packets to `{file}`: {e2}")).at(e.span, "needed here")
                })?;
                out.files.push((file.clone(), made));
            }
        }
        out.buffers(map, plan.packet_pages as usize).map_err(|e| crate::session::failed("make buffers for packets", &e))?;
        Ok(out)
    }

    fn buffers(&mut self, map: &Map, pages: usize) -> io::Result<()> {
        for cpu in attach::online_cpus()? {
            let fd = perf::open_output(cpu)?;
            let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
            let buffer = Buffer::new(fd, pages)?;
            map.update(&cpu.to_ne_bytes(), &number.to_ne_bytes())?;
            self.buffers.push(buffer);
        }
        self.ready = Some(poll::any_of(self.buffers.iter().map(AsFd::as_fd))?);
        Ok(())
    }

    pub fn ready(&self) -> Option<BorrowedFd<'_>> {
        self.ready.as_ref().map(AsFd::as_fd)
    }

    /// Writes what came. Gives the number of packets and of those that found no room.
    ///
    /// # Errors
    /// Where a file can't be written.
    pub fn drain(&mut self, events: &[Event]) -> io::Result<(usize, u64)> {
        let (mut count, mut lost, mut done) = (0, 0, Ok(()));
        let (files, real) = (&mut self.files, self.real);
        for b in &self.buffers {
            b.drain(|kind, body| match kind {
                LOST => lost += u64::from_ne_bytes(body.get(8..16).and_then(|b| b.try_into().ok()).unwrap_or_default()),
                SAMPLE if done.is_ok() => {
                    count += 1;
                    done = packet(files, events, real, body);
                }
                _ => {}
            });
        }
        done?;
        if count > 0 {
            self.files.iter_mut().try_for_each(|(_, f)| f.flush())?;
        }
        Ok((count, lost))
    }
}

/// One sample: the size of what follows, a record, the packet, and some bytes to make it even.
fn packet(files: &mut [(String, BufWriter<File>)], events: &[Event], real: u64, body: &[u8]) -> io::Result<()> {
    let record = body.get(4..).unwrap_or_default();
    let Some(event) = crate::events::Header::read(record).and_then(|h| events.get(h.event)) else { return Ok(()) };
    let EventKind::Packet { file } = &event.kind else { return Ok(()) };
    let Some((_, to)) = files.iter_mut().find(|(name, _)| name == file) else { return Ok(()) };
    let [time, length, offset] = [0, 1, 2].map(|i| argument(event, record, i));
    let bytes = record.get(event.size as usize..).unwrap_or_default();
    let bytes = &bytes[..bytes.len().min(length as usize)];
    let bytes = bytes.get(offset.min(length) as usize..).unwrap_or_default();
    to.write_all(&packet_header(time.wrapping_add(real), bytes.len() as u32, length.saturating_sub(offset) as u32))?;
    to.write_all(bytes)
}

/// `struct pcap_file_header`: version 2.4, packets of up to 65535 bytes, raw IP (`LINKTYPE_RAW`).
fn file_header() -> [u8; 24] {
    let mut out = [0; 24];
    out[..4].copy_from_slice(&0xa1b2_c3d4u32.to_ne_bytes());
    out[4..6].copy_from_slice(&2u16.to_ne_bytes());
    out[6..8].copy_from_slice(&4u16.to_ne_bytes());
    out[16..20].copy_from_slice(&65535u32.to_ne_bytes());
    out[20..].copy_from_slice(&101u32.to_ne_bytes());
    out
}

/// Seconds and microseconds, how much is there, and how much there was.
fn packet_header(ns: u64, captured: u32, length: u32) -> [u8; 16] {
    let words = [(ns / 1_000_000_000) as u32, (ns % 1_000_000_000 / 1000) as u32, captured, length];
    let mut out = [0; 16];
    out.chunks_exact_mut(4).zip(words).for_each(|(to, w)| to.copy_from_slice(&w.to_ne_bytes()));
    out
}
