//! The `awl` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    awl_cli::main()
}
