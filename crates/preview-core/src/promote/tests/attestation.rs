//! Who must have built the images.

use super::*;

#[test]
fn who_built_the_images_is_a_link_only_where_it_is_asked() {
    let mut evidence = evidence();
    let asked = chain(&evidence).len();
    evidence.attestations = None;
    assert_eq!(chain(&evidence).len(), asked - 2);
    promotes(&evidence);
}

#[test]
fn each_way_of_not_being_attested_has_its_next_step() {
    let mut evidence = evidence();
    let mut told = Vec::new();
    let found = |evidence: &mut Evidence, found: Vec<Attestation>| {
        let attestations = evidence.attestations.as_mut().unwrap();
        attestations.found.insert(image("web"), found);
    };
    found(&mut evidence, vec![]);
    told.extend(refused(&evidence));
    let invalid = Attestation::Invalid("its signature is not its certificate's".into());
    found(&mut evidence, vec![invalid]);
    told.extend(refused(&evidence));
    attest_web(&mut evidence, |said| said.commit = sha('c').to_string());
    told.extend(refused(&evidence));
    // Nobody asked for this image.
    evidence.attestations.as_mut().unwrap().found.clear();
    assert_eq!(refused(&evidence).len(), 2);
    insta::assert_snapshot!(told.join("\n"), @r"
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, has no attestation of who built it, and must have been built by https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main; let that workflow build and attest it, and deploy the preview again; if it did, grant this job `attestations: read`
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, has no attestation that can be believed, and must have been built by https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main: its signature is not its certificate's; if the authorities that are trusted here are out of date, name newer ones in promote.require_attestation.trust_root; else find out who wrote it
    the image of web, ghcr.io/acme/web@sha256:1111111111111111111111111111111111111111111111111111111111111111, is attested with the commit cccccccccccccccccccccccccccccccccccccccc, and must be with bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb; let https://github.com/acme/ci/.github/workflows/build.yml@refs/heads/main build and attest the image, and deploy the preview again
    ");
}
