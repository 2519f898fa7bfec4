//! Archives that a fork's author wrote to do harm: each is refused with its reason on the pull request, and nothing of it, nor
//! of the good one beside it, reaches the registry.

use preview_core::names::Digest;
use sandbox::registry::Image;

use tar::EntryType;

use crate::layouts::{Archive, blob, layer_of};
use crate::shop::Shop;

/// What is said of an archive of `web` beside a good one of `api`.
async fn refused(shop: &Shop, number: u64, archive: Vec<u8>) -> String {
    let folder = shop.artifact("web", &archive);
    let ran = shop.import(number, &folder, "trusted").await.exits(1);
    let told = ran.result["reason"].as_str().unwrap().to_owned();
    let comment = shop.comment(number).replace('\\', "");
    assert!(comment.contains("Refused"), "{comment}");
    told.trim_start_matches("the OCI layout of component web is not imported: ")
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_archive_is_refused_and_nothing_is_pushed() {
    let shop = Shop::open().await;
    let fork = ("mallory", "feature/cart");
    let number =
        shop.repository
            .open_pull_request_from_fork(fork.0, fork.1, &[("web/cart.html", "a cart")]);
    shop.artifacts(number);
    let good = || shop.built(number, "web");
    let with = |kind: EntryType, name: &str, size: u64, bytes: &[u8]| {
        let mut archive = Archive::of(&good());
        archive.entry(kind, name, size, bytes);
        archive.bytes()
    };
    let layer = blob(&layer_of(&good()));
    let swapped = |bytes: &[u8]| {
        let mut archive = Archive::without(&good(), &[&layer]);
        archive.file(&layer, bytes);
        archive.bytes()
    };
    let mut many = Archive::empty();
    for n in 0..10_000 {
        let content = n.to_string();
        let digest = Digest::of(content.as_bytes());
        many.file(&blob(digest.as_str()), content.as_bytes());
    }
    let whole = Archive::of(&good()).bytes();
    // Two empty blocks end it, and before them stands the block of the last blob.
    let cut = whole[..whole.len() - 1024 - 500].to_vec();
    let another = Image::of(&shop.repository.head("main")).containing("web");
    let hostile = [
        ("gzip bomb", [&[0x1f, 0x8b, 8, 0][..], &[0; 4096]].concat()),
        ("no archive", b"<html>".repeat(200)),
        ("cut short", cut),
        (
            "huge size",
            with(
                EntryType::Regular,
                &blob(&format!("sha256:{}", "1".repeat(64))),
                1 << 50,
                b"",
            ),
        ),
        (
            "sparse",
            with(
                EntryType::GNUSparse,
                &blob(&format!("sha256:{}", "1".repeat(64))),
                0,
                b"",
            ),
        ),
        (
            "symbolic link",
            with(
                EntryType::Symlink,
                &blob(&format!("sha256:{}", "1".repeat(64))),
                0,
                b"",
            ),
        ),
        ("hard link", with(EntryType::Link, "index.json", 0, b"")),
        ("device", with(EntryType::Block, "blobs", 0, b"")),
        (
            "long name",
            with(EntryType::GNULongName, "././@LongLink", 1 << 40, b""),
        ),
        (
            "traversal",
            with(EntryType::Regular, "../../.bashrc", 1, b"x"),
        ),
        ("absolute", with(EntryType::Regular, "/etc/passwd", 1, b"x")),
        ("twice", with(EntryType::Regular, "index.json", 2, b"{}")),
        ("10,000 entries", many.bytes()),
        ("another layer", swapped(b"evil")),
        (
            "missing layer",
            Archive::without(&good(), &[&layer]).bytes(),
        ),
        ("another commit", Archive::of(&another).bytes()),
        (
            "no commit",
            Archive::of(&Image::unlabelled().containing("web")).bytes(),
        ),
    ];
    let mut told = Vec::new();
    for (what, archive) in hostile {
        told.push(format!("{what}: {}", refused(&shop, number, archive).await));
    }
    let told = told.join("\n");
    let told = told
        .replace(&shop.repository.head_of(number), "[head]")
        .replace(&shop.repository.head("main"), "[main]");
    insta::assert_snapshot!(shop.without_hashes(&told), @r#"
    gzip bomb: it is compressed as a whole, with gzip; give the archive as it was before
    no archive: it is no tar archive: "numeric field was not a number: l><html> when getting cksum for <html><html><html><html><html><html>"
    cut short: its entry "blobs/sha256/[hex]" breaks off before it has its 289 bytes
    huge size: its entry "blobs/sha256/[hex]" has 1125899906842624 bytes, and may have 2147483648 (pull_requests.import.blob)
    sparse: its entry "blobs/sha256/[hex]" is a sparse file, and a layout has files and folders alone
    symbolic link: its entry "blobs/sha256/[hex]" is a symbolic link, and a layout has files and folders alone
    hard link: its entry "index.json" is a hard link, and a layout has files and folders alone
    device: its entry "blobs" is a device, and a layout has files and folders alone
    long name: its entry "././@LongLink" is a long name (GNU), and a layout has files and folders alone
    traversal: its entry "../../.bashrc" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    absolute: its entry "/etc/passwd" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    twice: its entry "index.json" is there twice
    10,000 entries: it has more than 1000 entries, the most that pull_requests.import.entries allows
    another layer: its blob sha256:[hex] holds something else, whose digest is sha256:[hex]
    missing layer: it lacks the layer sha256:[hex], which the manifest sha256:[hex] refers to
    another commit: the image of component web, registry.test/acme/web@sha256:[hex], was built from [main] (parents: none), which is neither the head [head] nor a merge of it into main; run CI again for that
    no commit: it names nothing as what it was built from; set the label org.opencontainers.image.revision to the one commit that was built
    "#);
    assert_eq!(shop.pushed(), Vec::<String>::new());
    for component in ["acme/web", "acme/api"] {
        assert!(shop.world.registry.tags(component).is_empty());
    }
    assert_eq!(shop.repository.deployments(), []);
    shop.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_read_as_an_archive_is_and_its_links_are_not_followed() {
    let shop = Shop::open().await;
    let number = shop.repository.open_pull_request_from_fork(
        "mallory",
        "feature/cart",
        &[("web/cart.html", "a cart")],
    );
    let unpacked = shop.path("layouts").join("web");
    let archive = Archive::of(&shop.built(number, "web")).bytes();
    tar::Archive::new(archive.as_slice())
        .unpack(&unpacked)
        .unwrap();
    let folder = shop.path("layouts");
    let folder = folder.to_str().unwrap();
    let layer = unpacked.join(blob(&layer_of(&shop.built(number, "web"))));
    let kept = std::fs::read(&layer).unwrap();
    std::fs::remove_file(&layer).unwrap();
    std::os::unix::fs::symlink(shop.path("kubeconfig"), &layer).unwrap();
    let ran = shop.import(number, folder, "trusted").await.exits(1);
    insta::assert_snapshot!(shop.without_hashes(&ran.error()), @r#"error: the OCI layout of component web is not imported: its entry "blobs/sha256/[hex]" is a symbolic link, and a layout has files and folders alone"#);
    assert_eq!(shop.pushed(), Vec::<String>::new());

    std::fs::remove_file(&layer).unwrap();
    std::fs::write(&layer, kept).unwrap();
    shop.import(number, folder, "trusted").await.exits(0);
    shop.close();
}
