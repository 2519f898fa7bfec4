use super::*;

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
