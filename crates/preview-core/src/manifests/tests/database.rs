use super::*;
use crate::snapshot::VolumeMode;

const SEEDED: &str = "[database]\nseed.sql = [\"db/*.sql\"]\n";

fn names(waves: &[JobWave]) -> Vec<String> {
    let jobs = waves.iter().flat_map(|wave| &wave.jobs);
    jobs.map(|job| job.object().name.clone()).collect()
}

fn example_with(database: &str) -> Parts {
    Parts::of(&EXAMPLE.replace("[database]\n", database))
}

#[test]
fn what_fills_the_database_comes_between_migrations_and_seeds() {
    let parts = example_with(SEEDED);
    let waves = parts.preview().job_waves(&uid());
    let told: Vec<_> = waves.iter().map(|wave| (wave.what, wave.files)).collect();
    assert_eq!(
        told,
        [
            (Work::Migrate, None),
            (Work::Seed, Some(SEED_FILES)),
            (Work::Seed, None)
        ]
    );
    let job = &waves[1].jobs[0];
    insta::assert_snapshot!(pretty(&job.body()["spec"]["template"]["spec"]["containers"][0]), @r#"
    {
      "command": [
        "sh",
        "-c",
        "set --; for file in /seed/*; do set -- \"$@\" --file=\"$file\"; done; exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --single-transaction \"$@\""
      ],
      "env": [
        {
          "name": "PGDATABASE",
          "value": "shop"
        },
        {
          "name": "PGHOST",
          "value": "database"
        },
        {
          "name": "PGPASSWORD",
          "valueFrom": {
            "secretKeyRef": {
              "key": "DATABASE_PASSWORD",
              "name": "app-secret"
            }
          }
        },
        {
          "name": "PGPORT",
          "value": "5432"
        },
        {
          "name": "PGUSER",
          "value": "shop"
        }
      ],
      "image": "docker.io/library/postgres:17",
      "name": "seed",
      "resources": {
        "limits": {
          "cpu": "500m",
          "memory": "256Mi"
        },
        "requests": {
          "cpu": "50m",
          "memory": "64Mi"
        }
      },
      "securityContext": {
        "allowPrivilegeEscalation": false
      },
      "volumeMounts": [
        {
          "mountPath": "/seed",
          "name": "seed",
          "readOnly": true
        }
      ]
    }
    "#);
}

#[test]
fn an_image_that_fills_the_database_finds_it_as_components_do() {
    let image = "[database]\nseed.image = \"ghcr.io/acme/seed:1\"\nseed.command = [\"/fill\"]\n";
    let parts = example_with(image);
    let waves = parts.preview().job_waves(&uid());
    assert_eq!(waves[1].files, None);
    let container = &waves[1].jobs[0].body()["spec"]["template"]["spec"]["containers"][0];
    insta::assert_snapshot!(container, @r#"{"command":["/fill"],"envFrom":[{"configMapRef":{"name":"app-config"}},{"secretRef":{"name":"app-secret"}}],"image":"ghcr.io/acme/seed:1","name":"seed","resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"50m","memory":"64Mi"}},"securityContext":{"allowPrivilegeEscalation":false}}"#);
}

#[test]
fn another_image_migrates_again_and_fills_nothing_and_another_database_does_both() {
    let mut parts = example_with(SEEDED);
    let before = names(&parts.preview().job_waves(&uid()));
    let another: crate::names::Digest = format!("sha256:{}", "2".repeat(64)).parse().unwrap();
    for (component, image) in &mut parts.images {
        let component = parts.config.component(component).unwrap();
        *image = component.image.at(another.clone());
    }
    let image = names(&parts.preview().job_waves(&uid()));
    let same: Vec<bool> = before.iter().zip(&image).map(|(a, b)| a == b).collect();
    assert_eq!(same, [false, true, true], "{before:?} {image:?}");
    let database = names(&parts.preview().job_waves(&"other-1".parse().unwrap()));
    assert!(
        database.iter().all(|name| !before.contains(name)),
        "{database:?}"
    );
}

#[test]
fn what_is_done_is_not_pending() {
    let parts = example_with(SEEDED);
    let preview = parts.preview();
    let mut state = State::fresh(uid());
    let pending = |state: &State| -> Vec<JobWave> {
        let waves = preview.job_waves(&uid()).into_iter();
        waves.filter_map(|wave| wave.pending(state)).collect()
    };
    for left in [3, 2, 1] {
        let waves = pending(&state);
        assert_eq!(waves.len(), left);
        waves[0].done(&mut state);
    }
    assert_eq!(pending(&state), []);
}

#[test]
fn sql_files_keep_their_order_in_a_secret_that_has_room_for_them() {
    let file = |path: &str, bytes: usize| (path.to_owned(), vec![b'-'; bytes]);
    let secret = seed_files(&[file("db/a b/10.sql", 3), file("db/b/1.sql", 3)]).unwrap();
    insta::assert_snapshot!(secret.body()["data"], @r#"{"000000-10.sql":"LS0t","000001-1.sql":"LS0t"}"#);
    assert!(seed_files(&[file("db/1.sql", 1 << 20)]).is_ok());
    let refused = seed_files(&[file("db/1.sql", 1 << 20), file("db/2.sql", 1)]).unwrap_err();
    insta::assert_snapshot!(refused, @"the files of database.seed.sql have 1048577 bytes, and 1048576 fit into a Secret; put them into an image and name it as database.seed.image");
}

const RESTORED: &str = "[database]\nstorage_class = \"csi\"\nseed.snapshot = { namespace = \"golden\", name = \"shop-sanitised\", directory = \"16/main\" }\n";

fn stored(handle: &str) -> StoredSnapshot {
    StoredSnapshot {
        driver: "csi.example.com".into(),
        handle: handle.into(),
        restore_size: None,
        source_volume_mode: Some(VolumeMode::Filesystem),
    }
}

#[test]
fn a_restored_copy_is_made_the_previews_own_before_its_server_starts() {
    let parts = example_with(RESTORED);
    let set = &body(
        &parts.preview().database_from(&stored("snap-1")),
        "StatefulSet/database",
    );
    let pod = &set["spec"]["template"]["spec"];
    let (restored, server) = (&pod["initContainers"][0], &pod["containers"][0]);
    for same in ["image", "resources", "volumeMounts"] {
        assert_eq!(restored[same], server[same], "{same}");
    }
    assert_eq!(restored["command"].as_array().unwrap().len(), 3);
    insta::assert_snapshot!(restored["env"], @r#"[{"name":"PGDATA","value":"/var/lib/postgresql/data/16/main"},{"name":"POSTGRES_DB","value":"shop"},{"name":"POSTGRES_PASSWORD","valueFrom":{"secretKeyRef":{"key":"DATABASE_PASSWORD","name":"app-secret"}}},{"name":"POSTGRES_USER","value":"shop"},{"name":"VOLUME","value":"/var/lib/postgresql/data"}]"#);
    insta::assert_snapshot!(server["args"], @r#"["-c","listen_addresses=*","-c","logging_collector=off","-c","ssl=off","-c","archive_mode=off","-c","max_logical_replication_workers=0","-c","hba_file=/var/lib/postgresql/data/16/main/pg_hba.conf"]"#);
    insta::assert_snapshot!(set["spec"]["volumeClaimTemplates"][0], @r#"{"metadata":{"name":"data"},"spec":{"accessModes":["ReadWriteOnce"],"dataSource":{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"database-4a63303004"},"resources":{"requests":{"storage":"1Gi"}},"storageClassName":"csi"}}"#);
    assert_eq!(names(&parts.preview().job_waves(&uid())).len(), 2);
}

#[test]
fn a_volume_is_restored_by_objects_of_the_previews_own_that_leave_the_golden_snapshot_alone() {
    let parts = example_with(RESTORED);
    let preview = parts.preview();
    let pair = preview.snapshot_pair(&stored("snap-1"));
    let told = pair.each_ref().map(|manifest| manifest.body().to_string());
    insta::assert_snapshot!(told.join("\n"), @r#"
    {"apiVersion":"snapshot.storage.k8s.io/v1","kind":"VolumeSnapshotContent","metadata":{"labels":{"app.kubernetes.io/component":"database","app.kubernetes.io/name":"database"},"name":"preview-pr-7-database-4a63303004"},"spec":{"deletionPolicy":"Retain","driver":"csi.example.com","source":{"snapshotHandle":"snap-1"},"sourceVolumeMode":"Filesystem","volumeSnapshotRef":{"name":"database-4a63303004","namespace":"preview-pr-7"}}}
    {"apiVersion":"snapshot.storage.k8s.io/v1","kind":"VolumeSnapshot","metadata":{"labels":{"app.kubernetes.io/component":"database","app.kubernetes.io/name":"database"},"name":"database-4a63303004"},"spec":{"source":{"volumeSnapshotContentName":"preview-pr-7-database-4a63303004"}}}
    "#);
    let kinds = pair.each_ref().map(|manifest| manifest.object().kind);
    assert_eq!(preview.custom_kinds(), kinds.into());

    let named = |stored: &StoredSnapshot| preview.snapshot_pair(stored).map(|m| m.object().clone());
    let other_mode = StoredSnapshot {
        source_volume_mode: None,
        ..stored("snap-1")
    };
    let all = [
        named(&stored("snap-1")),
        named(&stored("snap-2")),
        named(&other_mode),
    ];
    assert_eq!(all.concat().into_iter().collect::<BTreeSet<_>>().len(), 6);
}

#[test]
fn a_volume_stays_what_it_is_whatever_the_configuration_says_of_fresh_ones() {
    let (restored, plain) = (example_with(RESTORED), example_with("[database]\n"));
    let copy = restored.preview().database_from(&stored("snap-1"));
    let copy = body(&copy, "StatefulSet/database");
    let made = body(&plain.preview().database(), "StatefulSet/database");
    for (parts, existing) in [(&plain, &copy), (&restored, &made)] {
        let preview = parts.preview();
        let kept = body(&preview.database_as(existing), "StatefulSet/database");
        assert_eq!(kept["spec"], existing["spec"]);
    }

    let pair = restored.preview().snapshot_pair(&stored("snap-1"));
    let content = plain.preview().snapshot_content_of(&copy);
    assert_eq!(content.as_ref(), Some(pair[0].object()));
    assert_eq!(plain.preview().snapshot_content_of(&made), None);
    let again = plain.preview().snapshot_pair_as(pair[0].body());
    assert_eq!(again, Some(pair));
}
