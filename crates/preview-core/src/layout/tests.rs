use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const COMMIT: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layout as a folder in memory.
#[derive(Clone, Debug)]
struct Folder(BTreeMap<String, Vec<u8>>);

impl Folder {
    /// No blobs yet, and no index.
    fn new() -> Self {
        let mark = br#"{"imageLayoutVersion":"1.0.0"}"#;
        Self(BTreeMap::from([("oci-layout".to_owned(), mark.to_vec())]))
    }

    /// Adds a blob; gives how it is named.
    fn blob(&mut self, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
        let bytes = bytes.as_ref();
        let digest = Digest::of(bytes);
        let name = format!("blobs/sha256/{}", digest.hex());
        self.0.insert(name, bytes.to_vec());
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    fn json(&mut self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string())
    }

    /// Names these in `index.json`.
    fn named(mut self, manifests: &[Value]) -> Self {
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        self.0.insert("index.json".into(), index.to_string().into());
        self
    }

    /// A config, a layer and their manifest, changed by `change` before it is hashed.
    fn manifest(&mut self, revision: Option<&str>, change: impl FnOnce(&mut Value)) -> Value {
        let labels = json!({ "org.opencontainers.image.revision": revision });
        let config =
            json!({ "os": "linux", "architecture": "amd64", "config": { "Labels": labels } });
        let config = self.json(CONFIG, &config);
        let layer = self.blob(LAYER, "files");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
        });
        change(&mut manifest);
        self.json(MANIFEST, &manifest)
    }

    /// A whole image with an index, as `docker buildx build --output type=oci` writes it.
    fn good() -> Self {
        let mut folder = Self::new();
        let manifest = folder.manifest(Some(COMMIT), |_| {});
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [manifest] });
        let index = folder.json(INDEX_TYPE, &index);
        folder.named(&[index])
    }

    /// One whose only manifest is changed.
    fn odd(change: impl FnOnce(&mut Value)) -> Self {
        let mut folder = Self::new();
        let manifest = folder.manifest(Some(COMMIT), change);
        folder.named(&[manifest])
    }

    fn read(&self) -> Result<Image, Refused> {
        let mut contents = Contents::new(Limits::default());
        for (name, bytes) in &self.0 {
            let entry = Entry {
                name: name.as_bytes(),
                kind: EntryKind::File,
                size: bytes.len() as u64,
            };
            if let Place::Blob(claimed) = contents.admit(entry)? {
                contents.hashed(claimed, Digest::of(bytes), bytes.len() as u64)?;
            }
        }
        let index = self.0.get("index.json").map(Vec::as_slice);
        contents.image(index, |piece| {
            let name = format!("blobs/sha256/{}", piece.digest.hex());
            Ok(self.0[&name].clone())
        })
    }

    fn refused(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

fn admitted(names: &[(&str, EntryKind, u64)], limits: Limits) -> Result<(), Refused> {
    let mut contents = Contents::new(limits);
    for (name, kind, size) in names {
        contents.admit(Entry {
            name: name.as_bytes(),
            kind: *kind,
            size: *size,
        })?;
    }
    Ok(())
}

fn blob(digit: char) -> String {
    format!("blobs/sha256/{}", digit.to_string().repeat(64))
}

#[test]
fn an_image_is_all_that_its_index_refers_to_and_nothing_else() {
    let mut folder = Folder::good();
    folder.blob(LAYER, "nobody asked for this");
    let image = folder.read().unwrap();
    let parts = |pieces: &[Piece]| pieces.iter().map(|piece| piece.part).collect::<Vec<_>>();
    assert_eq!(parts(&image.manifests), [Part::Manifest, Part::Index]);
    assert_eq!(image.blobs.len(), 2);
    assert_eq!(image.revision.as_str(), COMMIT);
    assert_eq!(*image.digest(), image.manifests[1].digest);
    // Without an index, the manifest is the image.
    assert_eq!(Folder::odd(|_| {}).read().unwrap().manifests.len(), 1);
}

#[test]
fn what_buildkit_and_docker_write_is_taken() {
    let mut folder = Folder::new();
    let manifest = folder.manifest(Some(COMMIT), |_| {});
    let statement = folder.blob("application/vnd.in-toto+json", "{}");
    let mut attestation = folder.manifest(None, |manifest| manifest["layers"] = json!([statement]));
    attestation["annotations"] = json!({ "vnd.docker.reference.type": "attestation-manifest" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest, attestation] });
    let index = folder.json(INDEX_TYPE, &index);
    // Once for each tag.
    let image = folder.named(&[index.clone(), index]).read().unwrap();
    assert_eq!(image.manifests.len(), 3);
    assert_eq!(image.revision.as_str(), COMMIT);
    let names = [
        ("./", EntryKind::Folder, 0),
        ("./blobs/", EntryKind::Folder, 0),
        ("blobs/sha256/", EntryKind::Folder, 0),
        ("./oci-layout", EntryKind::File, 30),
        ("manifest.json", EntryKind::File, 300),
    ];
    assert_eq!(admitted(&names, Limits::default()), Ok(()));
}

#[test]
fn an_entry_that_no_layout_has_is_refused_before_it_is_read() {
    use EntryKind::{File, Folder, Other};
    let (one, two) = (blob('1'), blob('2'));
    let small = Limits {
        entries: 3,
        blob: 100,
        whole: 150,
    };
    let long = format!("{}\n::error::\u{202e}", "a/".repeat(60));
    let told = [
        &[("../../etc/cron.d/x", File, 1)][..],
        &[("/etc/passwd", File, 1)],
        &[("blobs/sha256/../../x", File, 1)],
        &[("blobs/sha256/ABC", File, 1)],
        &[("blobs/sha512/", Folder, 0)],
        &[("C:\\x\n::error::", File, 1)],
        &[(&long, File, 1)],
        &[(&one, Other("a symbolic link"), 0)],
        &[("index.json", Folder, 0)],
        &[("index.json", File, 1), ("./index.json", File, 1)],
        &[(&one, File, 10), (&one, File, 10)],
        &[(&one, File, 101)],
        &[(&one, File, u64::MAX)],
        &[("index.json", File, 5 << 20)],
        &[(&one, File, 100), (&two, File, 100)],
        &[
            ("", Folder, 0),
            ("blobs", Folder, 0),
            (&one, File, 0),
            (&two, File, 0),
        ],
        &[("blobs", Folder, 9)],
    ]
    .map(|names| admitted(names, small).unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"), @r#"
    its entry "../../etc/cron.d/x" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "/etc/passwd" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "blobs/sha256/../../x" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "blobs/sha256/ABC" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "blobs/sha512/" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "C:\\x\n::error::" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "blobs/sha256/1111111111111111111111111111111111111111111111111111111111111111" is a symbolic link, and a layout has files and folders alone
    its entry "index.json" is none that a layout has: oci-layout, index.json, manifest.json, and blobs/sha256/ with 64 hex digits
    its entry "./index.json" is there twice
    its entry "blobs/sha256/1111111111111111111111111111111111111111111111111111111111111111" is there twice
    its entry "blobs/sha256/1111111111111111111111111111111111111111111111111111111111111111" has 101 bytes, and may have 100 (pull_requests.import.blob)
    its entry "blobs/sha256/1111111111111111111111111111111111111111111111111111111111111111" has 18446744073709551615 bytes, and may have 100 (pull_requests.import.blob)
    its entry "index.json" has 5242880 bytes, and may have 100
    its entries have more than 150 bytes together, the most that pull_requests.import.whole allows
    it has more than 3 entries, the most that pull_requests.import.entries allows
    its entry "blobs" has 9 bytes, and may have 0
    "#);
}

#[test]
fn an_image_that_is_not_whole_or_not_what_it_seems_is_refused() {
    let mut swapped = Folder::good();
    let layer = format!("blobs/sha256/{}", Digest::of(b"files").hex());
    swapped.0.insert(layer.clone(), b"other".to_vec());
    let mut lacking = Folder::good();
    lacking.0.remove(&layer);
    let mut unmarked = Folder::good();
    unmarked.0.remove("oci-layout");
    let mut unnamed = Folder::good();
    unnamed.0.remove("index.json");
    let mut nested = Folder::new();
    let manifest = nested.manifest(Some(COMMIT), |_| {});
    let inner = json!({ "schemaVersion": 2, "manifests": [manifest] });
    let inner = nested.json(INDEX_TYPE, &inner);
    let outer = json!({ "schemaVersion": 2, "manifests": [inner] });
    let outer = nested.json(INDEX_TYPE, &outer);
    let mut two = Folder::new();
    let both = [
        two.manifest(Some(COMMIT), |_| {}),
        two.manifest(None, |_| {}),
    ];
    let mut disagreeing = Folder::new();
    let platforms = [
        disagreeing.manifest(Some(COMMIT), |_| {}),
        disagreeing.manifest(None, |_| {}),
    ];
    let platforms = json!({ "schemaVersion": 2, "manifests": platforms });
    let platforms = disagreeing.json(INDEX_TYPE, &platforms);
    let mut empty = Folder::new();
    let none = empty.json(INDEX_TYPE, &json!({ "schemaVersion": 2, "manifests": [] }));
    let mut huge = Folder::new();
    let manifest = huge.blob(MANIFEST, vec![b' '; 5 << 20]);
    let mut branch = Folder::new();
    let of_branch = branch.manifest(Some("main\n## owned"), |_| {});
    let told = [
        swapped,
        lacking,
        unmarked,
        unnamed,
        nested.named(&[outer]),
        two.named(&both),
        Folder::new().named(&[]),
        disagreeing.named(&[platforms]),
        branch.named(&[of_branch]),
        empty.named(&[none]),
        huge.named(&[manifest]),
        Folder::odd(|it| it["layers"][0]["size"] = json!(4)),
        Folder::odd(|it| it["layers"][0]["size"] = json!(-1)),
        Folder::odd(|it| it["layers"][0]["urls"] = json!(["https://evil.example/layer"])),
        Folder::odd(|it| it["layers"][0]["data"] = json!("ZmlsZXM=")),
        Folder::odd(|it| {
            it["layers"][0]["mediaType"] =
                json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
        }),
        Folder::odd(|it| {
            it["layers"][0]["mediaType"] =
                json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        }),
        Folder::odd(|it| it["layers"][0]["mediaType"] = json!("application/vnd.in-toto+json")),
        Folder::odd(|it| {
            it["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")
        }),
        Folder::odd(|it| it["layers"][0]["digest"] = json!("sha512:abc")),
        Folder::odd(|it| it["mediaType"] = json!("text/html")),
        Folder::odd(|it| it["schemaVersion"] = json!(1)),
        Folder::odd(|it| it["manifests"] = json!([])),
        Folder::odd(|it| it["subject"] = it["config"].clone()),
        Folder::odd(|it| *it = json!([])),
    ]
    .map(|folder| folder.refused());
    insta::assert_snapshot!(told.join("\n"), @r#"
    its blob sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 holds something else, whose digest is sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa
    it lacks the layer sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1, which the manifest sha256:d27683a96130194306055c5f936db26529bdfb3959eb2810a437eca4d92ef3b0 refers to
    it has no oci-layout, so it is no OCI layout
    it has no index.json, so it is no OCI layout
    sha256:6527f7f37470fcd67617ea65f1657997d323f3d22e0483761f2f07ccc622fe5d is an index in an index, and images have one index at the most
    index.json names 2 images, and a layout is taken for one component
    index.json names 0 images, and a layout is taken for one component
    it names nothing and "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" as what it was built from; set the label org.opencontainers.image.revision to the one commit that was built
    it names "main\n## owned" as what it was built from; set the label org.opencontainers.image.revision to the one commit that was built
    the index sha256:fa0ced817d512dc4adca9f838fdc4d2c778adba5216e7bb4b315988f5822dd22 lists no image of any platform
    the manifest sha256:ba5ad3ab4353434a375605412de9ea271055d1cb49d534f774bd1c2d092c4732 has 5242880 bytes, and registries take 4194304
    the layer sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 has 5 bytes, and the manifest sha256:126d9e9060b6e77379300b8bbe0f80ff7ec98dd732a0a3db6ba961f5a286768b says 4
    the manifest sha256:ee013f671c1644efd5fd38ad1fa2f85783285a8f836e2f99d339469b9bf536b3 is not what it should be: "invalid value: integer `-1`, expected u64"
    the manifest sha256:0ba4434e8b01104dee681786bc3ec6d2e06544a3227c7e288eb27cf15f601572 has sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 fetched from "https://evil.example/layer"; build it with all its layers in it
    the manifest sha256:aa93cb62c8433280383d60272c9ef0610bf1084b3c7c985150b25aaef7b06934 is not what it should be: "it has the data of a blob in itself"
    the manifest sha256:47ced52bb4c0f83de20294a1b8c2f3d53a4e7f991955073fdfe4784c40503572 refers to sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 as "application/vnd.oci.image.layer.nondistributable.v1.tar", and here may stand a layer that lies in the registry
    the manifest sha256:2db3e118264259b60f48793522fd32ad31b617fb9fae1487f4e29ba210b977e1 refers to sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 as "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", and here may stand a layer that lies in the registry
    the manifest sha256:9b93a24a6456ab1c281382d04c91fe38d28b0b92d428bef27dc35e18c1fefd1b refers to sha256:3d7db37d08f9140fd09f12b9621cd0954b6d56a9d2f357fb2c7f5d62636d2fd1 as "application/vnd.in-toto+json", and here may stand a layer that lies in the registry
    the manifest sha256:6908f7f214a398b36f8658102eff14862d8d61a742343b94ed104a58ba0538df refers to sha256:063037b8789a5a6f93b0ac70d36ed9e51813e02b6e61aef35aae567ec1b0ee12 as "application/vnd.cncf.helm.config.v1+json", and here may stand a config of OCI or Docker
    the manifest sha256:5619677f995bfe6de8756d193014cd88bc5a9e84f47f46d5a713bd045b57009d is not what it should be: "\"sha512:abc\" is not a digest of the form sha256:<64 lower-case hex digits>"
    the manifest sha256:6a407784dfb9c2fb139f7cc4a4b27ffb8cc92001ac9f795a5e1581f394b3130c is not what it should be: "it calls itself text/html"
    the manifest sha256:8a6621263d5b60117673ee8832ad53decc0faaf47f4fcb3a42019ed47f6cde0c is not what it should be: "schemaVersion is 1, not 2"
    the manifest sha256:2209ec127b887f60f545d97b46e93064e743666bd698045ab7b4cd27ecfe2631 is not what it should be: "it is an index and a manifest at once"
    the manifest sha256:9011b72b67216410a46bb7c4d17f540a2d97f1892c86128fc4fe4e92c0d9879d is not what it should be: "it speaks of another image (subject)"
    the manifest sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945 is not what it should be: "schemaVersion is null, not 2"
    "#);
}

proptest! {
    #[test]
    fn any_changed_byte_of_a_blob_is_refused(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut folder = Folder::good();
        let mut blobs: Vec<&mut Vec<u8>> = folder
            .0
            .iter_mut()
            .filter(|(name, _)| name.starts_with("blobs/"))
            .map(|(_, bytes)| bytes)
            .collect();
        let which = which.index(blobs.len());
        let at = at.index(blobs[which].len());
        prop_assume!(blobs[which][at] != byte);
        blobs[which][at] = byte;
        let is_refused = matches!(folder.read(), Err(Refused::OtherDigest { .. }));
        prop_assert!(is_refused);
    }

    #[test]
    fn any_name_at_all_is_admitted_for_what_it_is_or_refused(name in "(\\./)?(blobs/sha256/)?[a-f0-9./\\\\]{0,70}") {
        let mut contents = Contents::new(Limits::default());
        let entry = Entry { name: name.as_bytes(), kind: EntryKind::File, size: 1 };
        if let Ok(Place::Blob(digest)) = contents.admit(entry) {
            let end = format!("blobs/sha256/{}", digest.hex());
            prop_assert!(name.ends_with(&end));
            prop_assert!(!name.contains(".."));
        }
    }
}
