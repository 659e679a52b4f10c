//! octoproof-cairo: compiles and tests a Cairo package, given Cairo's core library, where Scarb is not installed.
//!
//! The package is described by its Scarb.toml alone, so both tools build the same thing.

mod compile;
mod package;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[derive(Parser)]
#[command(version, about)]
enum Command {
    /// Compile the contracts of a package: Sierra class, CASM, and their hashes and sizes, three files a contract.
    Compile {
        /// Folder with the package's Scarb.toml.
        package: PathBuf,
        /// The `src` folder of Cairo's core library, version 2.19.4.
        #[arg(long, env = "CAIRO_CORELIB")]
        corelib: PathBuf,
        /// Folder for the artefacts.
        #[arg(long)]
        out: PathBuf,
    },
    /// Run the package's #[test] functions; says how much gas each used.
    Test {
        /// Folder with the package's Scarb.toml.
        package: PathBuf,
        /// The `src` folder of Cairo's core library, version 2.19.4.
        #[arg(long, env = "CAIRO_CORELIB")]
        corelib: PathBuf,
        /// Run only tests whose path contains this text.
        #[arg(long, default_value = "")]
        filter: String,
        /// Print where the gas goes.
        #[arg(long)]
        profile: Option<Profile>,
    },
}

/// By function, or by the whole stack of calls.
#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    Cairo,
    Scoped,
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Compile { package, corelib, out } => compile::compile(&package, &corelib, &out),
        Command::Test { package, corelib, filter, profile } => test::test(&package, &corelib, filter, profile),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
