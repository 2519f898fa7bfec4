use super::*;

#[test]
fn an_image_name_has_a_registry_and_neither_tag_nor_digest() {
    for good in [
        "ghcr.io/acme/web",
        "198.51.100.10:5000/acme/web",
        "localhost/x",
        "127.0.0.1:5000/a/b/c_d",
    ] {
        let name: ImageName = good.parse().unwrap();
        assert_eq!(format!("{}/{}", name.registry(), name.repository()), good);
    }
    for bad in [
        "web",
        "acme/web",
        "ghcr.io/Acme/web",
        "ghcr.io/acme/web:1",
        "ghcr.io/",
        "ghcr.io/a//b",
        "x:99999/a",
    ] {
        assert!(bad.parse::<ImageName>().is_err(), "{bad}");
    }
}

#[test]
fn a_digest_of_another_length_case_or_algorithm_is_none() {
    let hex = "0".repeat(64);
    assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
    for bad in [
        hex.clone(),
        format!("sha256:{hex}0"),
        format!("sha512:{hex}"),
        format!("sha256:{}", "A".repeat(64)),
    ] {
        assert!(bad.parse::<Digest>().is_err(), "{bad}");
    }
    assert_eq!(
        Digest::of(b"").as_str(),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn values_survive_their_text() {
    let sha = "0123456789abcdef0123456789abcdef01234567";
    for text in ["pr-7".to_owned(), format!("commit-{sha}")] {
        assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
    }
    assert_eq!(
        format!("commit-{sha}").parse::<Subject>().unwrap().slug(),
        "c0123456789ab"
    );
    assert_eq!(
        "12.3".parse::<Fence>().unwrap(),
        Fence {
            run: 12,
            attempt: 3
        }
    );
    assert!("pr-0".parse::<Subject>().is_err());
    assert!("acme/../x".parse::<RepositorySlug>().is_err());
}

#[test]
fn what_is_said_of_a_wrong_value_names_what_was_expected() {
    insta::assert_snapshot!("main".parse::<CommitSha>().unwrap_err(), @r#""main" is not a commit SHA of 40 lower-case hex digits"#);
}
