//! The actions' inputs, as options of the built programs.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use preview_core::outcome::Program;

use super::{Programs, story};

/// What a program says of its options: by itself (under an empty name), and below each subcommand.
fn help(programs: &Programs, program: Program) -> BTreeMap<String, String> {
    let path = programs.place(program);
    let said = |arguments: &[&str]| {
        let said = Command::new(path).args(arguments).output().unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    let own = said(&["--help"]);
    let commands = own.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    // The others are wrapped lines of what is said of the one before.
    let named = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.filter_map(|line| line.split_whitespace().next());
    let mut all: BTreeMap<_, _> = names
        .map(|name| (name.to_owned(), said(&[name, "--help"])))
        .collect();
    assert!(
        all.len() > 2,
        "{program} has more commands than {:?}",
        all.keys()
    );
    all.insert(String::new(), own);
    all
}

/// The names that the action of a program hands to `run.sh`.
fn names(program: Program) -> Vec<String> {
    let name = program.to_string();
    let folder = name.trim_start_matches("preview-");
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../.github/actions")
        .join(folder)
        .join("action.yml");
    let text = fs::read_to_string(file).unwrap();
    let (_, handed) = text.rsplit_once(&format!("run.sh\" {program}\n")).unwrap();
    let names: Vec<String> = handed.split_whitespace().map(str::to_owned).collect();
    for name in &names {
        let name = name.trim_end_matches('=');
        let variable = name.to_uppercase().replace('-', "_");
        let handed = format!("INPUT_{variable}: ${{{{ inputs.{name} }}}}");
        assert!(text.contains(&handed), "{program}: no line {handed}");
    }
    names
}

/// Whether an option is there, and takes a value where the name says so.
fn is_told(help: &str, name: &str) -> bool {
    let option = format!("--{}", name.trim_end_matches('='));
    help.lines().any(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != option);
        let value = words.nth(1).is_some_and(|word| word.starts_with('<'));
        line.split_whitespace().any(|word| word == option) && value == name.ends_with('=')
    })
}

#[test]
fn every_input_of_an_action_is_an_option_of_its_program_where_it_stands() {
    let programs = story::programs();
    for program in [Program::Deploy, Program::Cleanup, Program::Promote] {
        let help = help(&programs, program);
        let names = names(program);
        let mut parts = names.split(|name| name == "command");
        let (own, after) = (parts.next().unwrap(), parts.next().unwrap_or_default());
        for name in own.iter().filter(|name| *name != "verbose") {
            assert!(is_told(&help[""], name), "{program} {name}");
        }
        for name in after {
            let told = help
                .iter()
                .filter(|(command, said)| !command.is_empty() && is_told(said, name));
            assert_ne!(told.count(), 0, "{program}: no command takes {name}");
        }
    }
}
