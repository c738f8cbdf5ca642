mod dist;
mod peer;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("vm") => vm::main(&args[1..]),
        Some("dist") => dist::main(&args[1..]),
        Some("peer") => peer::main(&args[1..]),
        _ => {
            eprintln!("usage: {}\n       {}\n       {}", vm::USAGE, peer::USAGE, dist::USAGE);
            ExitCode::FAILURE
        }
    }
}
