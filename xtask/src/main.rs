mod attach;
mod cost;
mod dist;
mod guest;
mod options;
mod packet;
mod peer;
mod queue;
mod tools;
mod vm;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("vm") => status("vm", vm::main(&args[1..])),
        Some("dist") => dist::main(&args[1..]),
        Some("cost") => status("cost", cost::main(&args[1..])),
        Some("packet") => status("packet", packet::main(&args[1..])),
        Some("attach") => status("attach", attach::main(&args[1..])),
        Some("guest") => status("guest", guest::main(&args[1..])),
        Some("tools") => status("tools", tools::main(&args[1..])),
        Some("peer") => status("peer", peer::main(&args[1..])),
        _ => {
            eprintln!(
                "usage: {}\n       {}\n       {}\n       {}\n       {}\n       {}\n       {}\n       {}",
                vm::USAGE,
                guest::USAGE,
                tools::USAGE,
                cost::USAGE,
                packet::USAGE,
                attach::USAGE,
                peer::USAGE,
                dist::USAGE
            );
            ExitCode::FAILURE
        }
    }
}

fn status(command: &str, done: Result<bool, vm::Failed>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(vm::Failed(why)) => {
            eprintln!("{command}: {why}");
            ExitCode::FAILURE
        }
    }
}
