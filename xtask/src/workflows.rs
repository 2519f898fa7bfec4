//! The workflows and actions that this repository has and publishes, read by three programs that know GitHub's rules, none of
//! them ours: GitHub's own parser, actionlint and zizmor. GitHub itself would tell of a mistake no sooner than on the default
//! branch, when a pull request waits for its preview.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};
use xshell::{Cmd, Shell, cmd};

use crate::{counterparts, life};

/// Where workflows lie: those that run here, and those to copy.
const WORKFLOWS: [&str; 2] = [".github/workflows", "examples/workflows"];
/// Where actions lie, a folder each.
const ACTIONS: &str = ".github/actions";

/// A program that reads workflows.
struct Linter {
    name: &'static str,
    /// Puts it there, where it is not yet, and gives its path.
    get: fn(&Shell) -> anyhow::Result<PathBuf>,
    /// The command that has it read files.
    command: for<'a> fn(&'a Shell, &Path, &[PathBuf]) -> Cmd<'a>,
    /// Whether it reads actions, too.
    reads_actions: bool,
    /// What it has to find, and the others need not: a linter that finds nothing may be one that reads nothing.
    mistake: Mistake,
}

/// A deliberate mistake in a copy of a file.
struct Mistake {
    file: &'static str,
    right: &'static str,
    wrong: &'static str,
    /// What the linter says of it.
    said: &'static str,
}

const LINTERS: [Linter; 3] = [
    Linter {
        name: "GitHub's parser",
        get: parser,
        command: |shell, folder, files| {
            let script = folder.join("check.mjs");
            cmd!(shell, "node {script} {files...}")
        },
        reads_actions: true,
        mistake: Mistake {
            file: "examples/workflows/preview-deploy.yml",
            right: "queue: max",
            wrong: "queue: most",
            said: "Unexpected value 'most'",
        },
    },
    Linter {
        name: "actionlint",
        get: |_| counterparts::actionlint(),
        command: |shell, actionlint, files| {
            // Newer than this actionlint; GitHub's parser knows it, and reads the same files.
            let unknown = "unexpected key \"queue\" for \"concurrency\" section";
            // Not by what else is installed here.
            let alone = ["-shellcheck=", "-pyflakes="];
            cmd!(
                shell,
                "{actionlint} -no-color {alone...} -ignore {unknown} {files...}"
            )
        },
        reads_actions: false,
        mistake: Mistake {
            file: "examples/workflows/preview-deploy.yml",
            right: "steps.plan.outputs.subject",
            wrong: "steps.pln.outputs.subject",
            said: "property \"pln\" is not defined",
        },
    },
    Linter {
        name: "zizmor",
        get: zizmor,
        command: |shell, folder, files| {
            let zizmor = folder.join("bin/zizmor");
            let strict = ["--offline", "--persona=pedantic", "--strict-collection"];
            // What is let pass is written beside what it is about, with its reason.
            let shown = ["--no-config", "--no-progress", "--quiet", "--color=never"];
            cmd!(shell, "{zizmor} {strict...} {shown...} {files...}")
        },
        reads_actions: true,
        mistake: Mistake {
            file: "examples/workflows/promote.yml",
            right: "run: exit 1",
            wrong: "run: echo ${{ github.event.head_commit.message }}",
            said: "template-injection",
        },
    },
];

/// Arguments of `cargo xtask workflows`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Executes the example's workflows instead, once as they are and once without each permission that a job asks for.
    #[arg(long)]
    run: bool,
    /// Of the permissions, only this.
    #[arg(long, value_name = "NAME", requires = "run")]
    permission: Option<String>,
}

/// Runs `cargo xtask workflows`.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.run {
        true => life::each_is_needed(arguments.permission.as_deref()),
        false => check(&Shell::new()?),
    }
}

/// Has every linter read every file, and a copy with a mistake that it has to find.
///
/// # Errors
/// When one of them cannot be had, finds something, or does not find the mistake.
pub(crate) fn check(shell: &Shell) -> anyhow::Result<()> {
    let (workflows, actions) = (workflows()?, actions()?);
    let mut failed = Vec::new();
    for linter in &LINTERS {
        let name = linter.name;
        let program = (linter.get)(shell).with_context(|| format!("get {name}"))?;
        let mut files = workflows.clone();
        if linter.reads_actions {
            files.extend(actions.iter().cloned());
        }
        if let Some(said) = linter.read(shell, &program, &files)? {
            failed.push(format!("{name}:\n{said}"));
        }
        linter.finds_its_mistake(shell, &program)?;
        println!("{name}: {} files", files.len());
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

impl Linter {
    /// What it finds in these files; none where it finds nothing.
    fn read(
        &self,
        shell: &Shell,
        program: &Path,
        files: &[PathBuf],
    ) -> anyhow::Result<Option<String>> {
        let command = (self.command)(shell, program, files).quiet();
        let done = command.ignore_status().output();
        let done = done.with_context(|| format!("start {}", self.name))?;
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Ok((!done.status.success()).then_some(said))
    }

    fn finds_its_mistake(&self, shell: &Shell, program: &Path) -> anyhow::Result<()> {
        let Mistake {
            file,
            right,
            wrong,
            said,
        } = self.mistake;
        let whole = root().join(file);
        let text = fs::read_to_string(&whole).with_context(|| format!("read {file}"))?;
        ensure!(
            text.contains(right),
            "{file} has no {right:?} any more: let {} find another mistake",
            self.name
        );
        let folder = tempfile::tempdir().context("make a folder for a copy")?;
        let copy = folder.path().join(whole.file_name().unwrap_or_default());
        fs::write(&copy, text.replacen(right, wrong, 1)).context("write a copy")?;
        let found = self.read(shell, program, &[copy])?.unwrap_or_default();
        ensure!(
            found.contains(said),
            "{} does not find {wrong:?} in {file}; it says: {found}",
            self.name
        );
        Ok(())
    }
}

/// GitHub's own parser, from the npm registry. <https://github.com/actions/languageservices>
fn parser(shell: &Shell) -> anyhow::Result<PathBuf> {
    from_npm(shell, "workflow-parser")
}

/// What `xtask/counterparts/{tool}` pins of the npm registry.
///
/// # Errors
/// When it cannot be had.
pub(crate) fn from_npm(shell: &Shell, tool: &str) -> anyhow::Result<PathBuf> {
    pinned(tool, |folder| {
        let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
        cmd!(shell, "npm ci --prefix {folder} {quiet...}")
            .quiet()
            .run()
            .context("needs npm (Debian: apt-get install npm) and its registry")
    })
}

/// zizmor, from its wheel: the program as its authors have built it, which would take cargo many minutes.
/// <https://docs.zizmor.sh>
fn zizmor(shell: &Shell) -> anyhow::Result<PathBuf> {
    pinned("zizmor", |folder| {
        let requirements = folder.join("requirements.txt");
        let exactly = ["--no-deps", "--only-binary=:all:", "--require-hashes"];
        cmd!(
            shell,
            "python3 -m pip install --quiet {exactly...} --target {folder} --requirement {requirements}"
        )
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .quiet()
        .run()
        .context("needs pip (Debian: apt-get install python3-pip) and its index")
    })
}

/// A folder below `target/` with what `xtask/counterparts/{tool}` pins, installed once for each version of these files.
fn pinned(
    tool: &str,
    install: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let source = root().join("xtask/counterparts").join(tool);
    let mut hash = Sha256::new();
    let files = files(&source)?;
    for file in &files {
        hash.update(fs::read(file).with_context(|| format!("read {}", file.display()))?);
    }
    let key: String = hash.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let above = root().join("target/workflows");
    let folder = above.join(format!("{tool}-{key}"));
    if folder.exists() {
        return Ok(folder);
    }
    fs::create_dir_all(&above).with_context(|| format!("create {}", above.display()))?;
    // Beside, then renamed: one that was ended half-way leaves nothing that looks whole.
    let unfinished = tempfile::tempdir_in(&above).context("make a folder to install in")?;
    for file in &files {
        let copy = unfinished.path().join(file.file_name().unwrap_or_default());
        fs::copy(file, &copy).with_context(|| format!("copy {}", file.display()))?;
    }
    install(unfinished.path())?;
    fs::rename(unfinished.keep(), &folder)
        .with_context(|| format!("put {} in its place", folder.display()))?;
    Ok(folder)
}

/// All workflows.
fn workflows() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in WORKFLOWS {
        found.extend(files(&root().join(folder))?);
    }
    Ok(found)
}

/// All actions.
fn actions() -> anyhow::Result<Vec<PathBuf>> {
    let folders = entries(&root().join(ACTIONS))?;
    let files = folders.iter().map(|folder| folder.join("action.yml"));
    let found: Vec<_> = files.filter(|file| file.exists()).collect();
    ensure!(!found.is_empty(), "{ACTIONS} has no action");
    Ok(found)
}

/// The files of a folder, by name.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = entries(folder)?;
    found.retain(|path| path.is_file());
    ensure!(!found.is_empty(), "{} has no file", folder.display());
    Ok(found)
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let what = || format!("list {}", folder.display());
    let entries = fs::read_dir(folder).with_context(what)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut found: Vec<_> = paths.collect::<Result<_, _>>().with_context(what)?;
    found.sort();
    Ok(found)
}

pub(crate) fn root() -> &'static Path {
    // The parent of xtask's own folder; cargo fixes it at build time.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The other people's actions that `text` names, as name, tag and commit; ours are not among them.
    fn pinned_actions(text: &str) -> Vec<[String; 3]> {
        let lines = text
            .lines()
            .map(|line| line.trim_start().trim_start_matches("- "));
        let uses = lines.filter_map(|line| line.strip_prefix("uses: "));
        let outside = uses.filter(|action| !action.contains("/.github/actions/"));
        outside
            .map(|action| {
                let (name, rest) = action.split_once('@').unwrap();
                let (commit, tag) = rest.split_once(" # ").unwrap();
                [name, tag, commit].map(str::to_owned)
            })
            .collect()
    }

    #[test]
    fn every_action_of_others_is_in_the_table_to_compare() {
        let listed = fs::read_to_string(root().join("docs/adopting.md")).unwrap();
        let rows: BTreeSet<_> = listed
            .lines()
            .filter(|line| line.starts_with("| ["))
            .collect();
        let mut used = BTreeSet::new();
        for file in [workflows().unwrap(), actions().unwrap()].concat() {
            let text = fs::read_to_string(file).unwrap();
            used.extend(
                pinned_actions(&text)
                    .into_iter()
                    .map(|[name, tag, commit]| {
                        format!("| [{name}](https://github.com/{name}) | {tag} | `{commit}` |")
                    }),
            );
        }
        assert_eq!(rows, used.iter().map(String::as_str).collect());
    }

    #[test]
    fn every_linter_has_a_mistake_of_its_own_to_find() {
        for linter in LINTERS {
            let Mistake {
                file, right, wrong, ..
            } = linter.mistake;
            let text = fs::read_to_string(root().join(file)).unwrap();
            assert!(
                text.contains(right) && !text.contains(wrong),
                "{}",
                linter.name
            );
        }
    }
}
