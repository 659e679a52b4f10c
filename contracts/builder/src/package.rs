//! A package and the packages that it depends on by path, as their Scarb.toml files describe them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cairo_lang_compiler::db::RootDatabase;
use cairo_lang_compiler::project::{AllCratesConfig, ProjectConfig, ProjectConfigContent};
use cairo_lang_compiler::project::{get_main_crate_ids_from_project, update_crate_roots_from_project_config};
use cairo_lang_filesystem::db::{CrateIdentifier, CrateSettings, DependencySettings, Edition, init_dev_corelib};
use cairo_lang_filesystem::ids::CrateInput;
use toml::Table;

/// The crates that a database was told of: all of them, and the package itself. `contracts` is whether its Scarb.toml
/// has a [[target.starknet-contract]].
pub struct Loaded {
    pub all: Vec<CrateInput>,
    pub package: Vec<CrateInput>,
    pub contracts: bool,
}

/// Tells the database of the core library, the package and its dependencies.
pub fn load(db: &mut RootDatabase, corelib: &Path, folder: &Path) -> Result<Loaded> {
    if !corelib.join("lib.cairo").is_file() {
        bail!("corelib: {} is not the src folder of Cairo's core library", corelib.display());
    }
    let mut packages = BTreeMap::new();
    let name = read(&folder.canonicalize().with_context(|| format!("package: {}", folder.display()))?, &mut packages)?;
    init_dev_corelib(db, corelib.to_path_buf());
    let config = project(packages);
    update_crate_roots_from_project_config(db, &config);
    let ids = get_main_crate_ids_from_project(db, &config);
    let all: Vec<_> = ids.into_iter().map(|id| id.long(db).clone().into_crate_input(db)).collect();
    let own = |input: &&CrateInput| matches!(input, CrateInput::Real { name: own, .. } if *own == name);
    let package = all.iter().filter(own).cloned().collect();
    let target = manifest(folder)?.get("target").and_then(|v| v.get("starknet-contract")).is_some();
    Ok(Loaded { all, package, contracts: target })
}

struct Package {
    sources: PathBuf,
    edition: Edition,
    dependencies: Vec<String>,
}

/// Reads a package and, first, those that it depends on. Returns its name.
fn read(folder: &Path, packages: &mut BTreeMap<String, Package>) -> Result<String> {
    let file = manifest(folder)?;
    let about = file.get("package").and_then(|v| v.as_table()).context("Scarb.toml: no [package]")?;
    let name = about.get("name").and_then(|v| v.as_str()).context("Scarb.toml: package.name")?.to_string();
    if packages.contains_key(&name) {
        return Ok(name);
    }
    let mut dependencies = vec![];
    for (_, value) in file.get("dependencies").and_then(|v| v.as_table()).into_iter().flatten() {
        if let Some(path) = value.get("path").and_then(|v| v.as_str()) {
            let path = folder.join(path);
            dependencies.push(read(&path.canonicalize().with_context(|| path.display().to_string())?, packages)?);
        }
    }
    let edition = edition(folder, about).with_context(|| format!("{name}: package.edition"))?;
    packages.insert(name.clone(), Package { sources: folder.join("src"), edition, dependencies });
    Ok(name)
}

/// The package's own edition, or that of its workspace.
fn edition(folder: &Path, about: &Table) -> Result<Edition> {
    let own = about.get("edition").context("missing")?;
    let shared = manifest(folder.parent().unwrap_or(folder));
    let value = match own.as_str() {
        Some(_) => own.clone(),
        None => shared?["workspace"]["package"]["edition"].clone(),
    };
    Ok(value.try_into()?)
}

fn manifest(folder: &Path) -> Result<Table> {
    let path = folder.join("Scarb.toml");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}

fn project(packages: BTreeMap<String, Package>) -> ProjectConfig {
    let mut config = AllCratesConfig::default();
    let mut roots = vec![];
    for (name, package) in packages {
        let named = |name: String| (name.clone(), DependencySettings { discriminator: Some(name.into()) });
        let settings = CrateSettings {
            name: Some(name.clone()),
            edition: package.edition,
            dependencies: package.dependencies.into_iter().map(named).collect(),
            ..Default::default()
        };
        let id: CrateIdentifier = name.as_str().into();
        config.override_map.insert(id.clone(), settings);
        roots.push((id, package.sources));
    }
    let content = ProjectConfigContent { crate_roots: roots.into_iter().collect(), crates_config: config };
    ProjectConfig { base_path: PathBuf::new(), content }
}
