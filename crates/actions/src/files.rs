//! What a step leaves in files: outputs, summary, `result.json`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use preview_core::deploy::Need;
use preview_core::outcome::ResultFile;
use preview_core::promote::Mark;

use crate::console::token;

/// Bytes that GitHub takes as the summary of a step.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>
const SUMMARY_LIMIT: u64 = 1 << 20;

const CUT: &str = "\n\n*Cut here: a summary has 1 MiB at most; result.json has it all.*\n";

/// The outputs that every program leaves, as names and values.
pub(crate) fn outputs(result: &ResultFile) -> Vec<(String, String)> {
    let mut outputs = vec![
        ("verdict".to_owned(), result.verdict.clone()),
        ("reason".to_owned(), result.reason.clone()),
    ];
    let mut known = |name: &str, value: Option<String>| {
        outputs.extend(value.map(|value| (name.to_owned(), value)));
    };
    known("subject", result.subject.as_ref().map(ToString::to_string));
    known("commit", result.commit.as_ref().map(ToString::to_string));
    known(
        "namespace",
        result.namespace.as_ref().map(ToString::to_string),
    );
    known("url", result.url.clone());
    known("phase", result.phase().map(ToOwned::to_owned));
    let need = result.approval.map(Need::as_str);
    known("approval", need.map(ToOwned::to_owned));
    known(
        "approvals",
        result.approvals_before.map(|count| count.to_string()),
    );
    let broken = result
        .chain
        .iter()
        .filter(|link| link.holds == Mark::Broken);
    let broken: Vec<&str> = broken.map(|link| link.name.as_str()).collect();
    known(
        "broken-links",
        (!broken.is_empty()).then(|| broken.join(", ")),
    );
    known(
        "test-commit",
        result.test_commit.as_ref().map(ToString::to_string),
    );
    if !result.images.is_empty() {
        known("images", serde_json::to_string(&result.images).ok());
        let digests = result.images.iter();
        let digests = digests.map(|(component, image)| (component, &image.digest));
        let digests: BTreeMap<_, _> = digests.collect();
        known("digests", serde_json::to_string(&digests).ok());
        for (component, image) in &result.images {
            known(
                &format!("digest-{component}"),
                Some(image.digest.to_string()),
            );
        }
    }
    outputs
}

/// Appends outputs, each between delimiters that its value cannot have foreseen.
pub(crate) fn append_outputs(file: &Path, outputs: &[(String, String)]) -> io::Result<()> {
    let delimiter = token();
    let text: String = outputs
        .iter()
        .map(|(name, value)| format!("{name}<<{delimiter}\n{value}\n{delimiter}\n"))
        .collect();
    append(file, &text)
}

/// Appends to the summary as much as fits: what other commands of the step wrote counts too.
pub(crate) fn append_summary(file: &Path, markdown: &str) -> io::Result<()> {
    let there = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let room = usize::try_from(SUMMARY_LIMIT.saturating_sub(there)).unwrap_or(0);
    if markdown.len() <= room {
        return append(file, markdown);
    }
    let Some(mut end) = room.checked_sub(CUT.len()) else {
        return Ok(());
    };
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    append(file, &format!("{}{CUT}", &markdown[..end]))
}

/// Writes `result.json` whole or not at all.
pub(crate) fn write_result(file: &Path, result: &ResultFile) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(result)?;
    text.push('\n');
    write_whole(file, &text)
}

/// Writes a file whole or not at all: whoever reads it meanwhile sees the one before. It is written beside itself first, under
/// its name and `.new`.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, file)
}

fn append(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use preview_core::outcome::{Exit, Program};

    use super::*;

    fn result() -> ResultFile {
        let started = "2025-12-19T14:32:00Z".parse().unwrap();
        let mut result = ResultFile::new(
            Program::Deploy,
            Exit::Done,
            "deployed",
            "it is there",
            started,
        );
        result.url = Some("https://7.pr.example.com".into());
        result.enter("ready", started);
        let image = format!("ghcr.io/acme/web@sha256:{}", "1".repeat(64));
        result
            .images
            .insert("web".parse().unwrap(), image.parse().unwrap());
        result
    }

    #[test]
    fn a_value_cannot_end_its_output_and_begin_another() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        let hostile = "x\nEOF\nurl=https://evil.test".to_owned();
        append_outputs(&file, &[("reason".into(), hostile.clone())]).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let delimiter = text
            .lines()
            .next()
            .unwrap()
            .strip_prefix("reason<<")
            .unwrap();
        assert_eq!(
            text,
            format!("reason<<{delimiter}\n{hostile}\n{delimiter}\n")
        );
        assert!(delimiter.len() > 32, "{delimiter}");
    }

    #[test]
    fn outputs_name_what_later_steps_need() {
        let told: Vec<String> = outputs(&result())
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        verdict=deployed
        reason=it is there
        url=https://7.pr.example.com
        phase=ready
        images={"web":"ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111"}
        digests={"web":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}
        digest-web=sha256:1111111111111111111111111111111111111111111111111111111111111111
        "#);
    }

    #[test]
    fn a_summary_is_cut_at_the_limit_of_the_whole_step() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("summary");
        append_summary(&file, "first\n").unwrap();
        append_summary(&file, &"ä".repeat(1 << 20)).unwrap();
        let length = std::fs::metadata(&file).unwrap().len();
        assert!(
            (SUMMARY_LIMIT - 3..=SUMMARY_LIMIT).contains(&length),
            "{length}"
        );
        assert!(std::fs::read_to_string(&file).unwrap().ends_with(CUT));
        append_summary(&file, "no room").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().len(), length);
    }

    #[test]
    fn a_result_is_written_whole_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("result.json");
        write_result(&file, &result()).unwrap();
        let read: ResultFile =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(read, result());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
