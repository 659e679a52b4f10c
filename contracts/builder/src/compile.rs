//! Contracts to Sierra classes and CASM.

use std::fs::{create_dir_all, write};
use std::path::Path;

use anyhow::{Result, bail, ensure};
use cairo_lang_compiler::CompilerConfig;
use cairo_lang_compiler::db::RootDatabase;
use cairo_lang_compiler::diagnostics::DiagnosticsReporter;
use cairo_lang_defs::ids::TopLevelLanguageElementId;
use cairo_lang_filesystem::cfg::{Cfg, CfgSet};
use cairo_lang_filesystem::ids::CrateInput;
use cairo_lang_lowering::optimizations::config::Optimizations;
use cairo_lang_lowering::utils::InliningStrategy;
use cairo_lang_starknet::compile::compile_prepared_db;
use cairo_lang_starknet::contract::find_contracts;
use cairo_lang_starknet::starknet_plugin_suite;
use cairo_lang_starknet_classes::allowed_libfuncs::{BUILTIN_AUDITED_LIBFUNCS_LIST, ListSelector};
use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use cairo_lang_starknet_classes::contract_class::ContractClass;

use crate::package::load;

/// Far above Starknet's limit of 81,920 felts, so that a class that is too large is measured and not only refused.
const MAX_BYTECODE: usize = 1 << 24;

/// Writes NAME.contract_class.json, NAME.compiled_contract_class.json and NAME.casm_hash.json for every contract.
pub fn compile(folder: &Path, corelib: &Path, out: &Path) -> Result<()> {
    let mut db = RootDatabase::builder()
        .with_optimizations(Optimizations::enabled_with_default_movable_functions(InliningStrategy::Default))
        .with_cfg(CfgSet::from_iter([Cfg::kv("target", "starknet-contract")]))
        .with_default_plugin_suite(starknet_plugin_suite())
        .build()?;
    let loaded = load(&mut db, corelib, folder)?;
    let reporter = DiagnosticsReporter::stderr().with_crates(&loaded.all).allow_warnings();
    let config = CompilerConfig { diagnostics_reporter: reporter, replace_ids: true, ..Default::default() };
    let contracts = find_contracts(&db, &CrateInput::into_crate_ids(&db, loaded.package));
    let names: Vec<_> = contracts.iter().map(|contract| contract.submodule_id.full_path(&db)).collect();
    let classes = compile_prepared_db(&db, &contracts.iter().collect::<Vec<_>>(), config)?;
    ensure!(!classes.is_empty(), "{}: no contracts", folder.display());
    create_dir_all(out)?;
    for (path, class) in names.iter().zip(classes) {
        write_class(path, class, out)?;
    }
    Ok(())
}

fn write_class(path: &str, class: ContractClass, out: &Path) -> Result<()> {
    let name = path.rsplit("::").next().unwrap_or(path);
    let text = serde_json::to_string(&class)?;
    let sierra_felts = class.sierra_program.len();
    let program = class.extract_sierra_program(false)?;
    // Nodes refuse a class with any other libfunc, but devnet does not: so it is refused here.
    let audited = ListSelector::ListName(BUILTIN_AUDITED_LIBFUNCS_LIST.to_string());
    if let Err(error) = program.validate_version_compatible(audited) {
        bail!("{path}: {error}");
    }
    let casm = CasmContractClass::from_contract_class(class, program, false, MAX_BYTECODE)?;
    let facts = serde_json::json!({
        "blake": format!("{:#x}", casm.compiled_class_hash()),
        "poseidon": format!("{:#x}", casm.legacy_compiled_class_hash()),
        "bytecode_felts": casm.bytecode.len(),
        "sierra_felts": sierra_felts,
        "class_bytes": text.len(),
    });
    write(out.join(format!("{name}.contract_class.json")), text)?;
    write(out.join(format!("{name}.compiled_contract_class.json")), serde_json::to_string(&casm)?)?;
    write(out.join(format!("{name}.casm_hash.json")), facts.to_string())?;
    println!("{path}: {facts}");
    Ok(())
}
