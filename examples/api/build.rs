//! Lists the migrations, so that one is added by adding its file and nothing else.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=migrations");
    let mut names: Vec<String> = fs::read_dir("migrations")
        .expect("list migrations/")
        .map(|entry| entry.expect("list migrations/").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .filter(|name| name.ends_with(".sql"))
        .collect();
    // By name, and names start with a number of four digits: this is the order in which they are applied.
    names.sort();
    let mut list = String::from("[\n");
    for name in names {
        list += &format!(
            "    Migration {{ name: {name:?}, sql: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/migrations/\", {name:?})) }},\n"
        );
    }
    list += "]\n";
    let out = env::var_os("OUT_DIR").expect("OUT_DIR");
    fs::write(Path::new(&out).join("migrations.rs"), list).expect("write the list of migrations");
}
