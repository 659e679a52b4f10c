//! The #[test] functions of a package, run without a node; they may deploy contracts.

use std::path::Path;

use anyhow::Result;
use cairo_lang_compiler::db::RootDatabase;
use cairo_lang_filesystem::cfg::{Cfg, CfgSet};
use cairo_lang_runner::profiling::ProfilerConfig;
use cairo_lang_starknet::starknet_plugin_suite;
use cairo_lang_test_plugin::{TestsCompilationConfig, test_plugin_suite};
use cairo_lang_test_runner::{CompiledTestRunner, TestCompiler, TestRunConfig};

use crate::Profile;
use crate::package::load;

/// Prints every test with its gas. Fails if any test does.
pub fn test(folder: &Path, corelib: &Path, filter: String, profile: Option<Profile>) -> Result<()> {
    let mut db = RootDatabase::builder()
        .with_cfg(CfgSet::from_iter([Cfg::name("test"), Cfg::kv("target", "test")]))
        .with_default_plugin_suite(test_plugin_suite())
        .with_default_plugin_suite(starknet_plugin_suite())
        .build()?;
    let loaded = load(&mut db, corelib, folder)?;
    let config = TestsCompilationConfig {
        starknet: true,
        // None is all contracts of all crates; a package without a contract target has no use for their compilation.
        contract_declarations: if loaded.contracts { None } else { Some(vec![]) },
        contract_crate_ids: None,
        executable_crate_ids: None,
        add_statements_functions: profile.is_some(),
        add_statements_code_locations: false,
        add_functions_debug_info: false,
        add_type_names: false,
        replace_ids: false,
    };
    let run = TestRunConfig {
        filter,
        include_ignored: false,
        ignored: false,
        profiler_config: profile.map(|kind| match kind {
            Profile::Cairo => ProfilerConfig::Cairo,
            Profile::Scoped => ProfilerConfig::Scoped,
        }),
        gas_enabled: true,
        print_resource_usage: true,
    };
    let compiler = TestCompiler {
        db: db.snapshot(),
        main_crate_ids: loaded.all,
        test_crate_ids: loaded.package,
        allow_warnings: true,
        config,
    };
    CompiledTestRunner::new(compiler.build()?, run).run(Some(&compiler.db)).map(|_| ())
}
