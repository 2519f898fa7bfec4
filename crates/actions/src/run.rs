//! A program's life, from its arguments to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use preview_core::health::FailureClass;
use preview_core::outcome::{Program, ResultFile};
use preview_core::summary::summary;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::console::Console;
use crate::ended::{Conclusion, Failed};
use crate::environment::Environment;
use crate::files::{append_outputs, append_summary, outputs, write_result};
use crate::runner::Runner;

/// How long after its deadline a run may still take to tell how it went; every operation within it has a limit of its
/// own.
const GRACE: Duration = Duration::from_secs(90);

/// What every program can be told about where things are.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        default_value = "preview.toml",
        global = true
    )]
    pub config: PathBuf,
    /// Where the result goes, for the next workflow to read
    #[arg(
        long,
        value_name = "FILE",
        default_value = "result.json",
        global = true
    )]
    pub result: PathBuf,
    /// The kubeconfig; by default KUBECONFIG, ~/.kube/config or the pod's own account, in this order
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Print every request to GitHub, registry and cluster with method, path, status and time; twice: all there is to say
    #[arg(long, short, action = ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// Runs `workflow` as the whole of a process, and tells how it ended: in `result.json`, in the step's outputs and
/// summary, in the log, and by the exit code.
///
/// Installs the TLS provider, the log and the runtime. A run that is past its deadline, or is told to stop, ends with
/// exit code 3 and with all that it had done by then in `result.json`.
pub fn run<W, F>(program: Program, options: &Options, workflow: W) -> ExitCode
where
    W: FnOnce(Runner) -> F,
    F: Future<Output = Result<Conclusion, Failed>>,
{
    let runner = Runner::new(program, Environment::of_process());
    start_log(runner.environment(), options.verbose);
    for secret in runner.environment().secrets() {
        runner.console().mask(secret);
    }
    runner.enters("observing");
    // Only another call of this function could have installed one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(in_time(&runner, workflow(runner.clone()))),
        Err(error) => Err(Failed::Outside(
            FailureClass::Runner,
            format!("start the program: {error}; check the limits of the machine"),
        )),
    };
    let result = conclude(&runner, &ended);
    report(&runner, options, &result, &ended)
}

fn start_log(environment: &Environment, verbose: u8) {
    let usual = match verbose {
        0 if !environment.is_debug() => "warn",
        1 => "warn,request=debug",
        _ => "debug",
    };
    let filter = environment.log_filter().unwrap_or(usual);
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_ansi(false)
        .with_writer(std::io::stderr);
    // A test may have a log of its own.
    let _ = log.try_init();
}

/// The workflow, unless its time is over or somebody stops it.
async fn in_time(
    runner: &Runner,
    workflow: impl Future<Output = Result<Conclusion, Failed>>,
) -> Result<Conclusion, Failed> {
    tokio::select! {
        ended = workflow => ended,
        () = past_deadline(runner) => Err(Failed::Outside(
            FailureClass::Timeout,
            "the run took longer than `deadline` in preview.toml allows, even to say so; run it again".to_owned(),
        )),
        () = told_to_stop() => Err(Failed::Outside(
            FailureClass::Runner,
            "the run was told to stop; run it again, and it goes on where this one stopped".to_owned(),
        )),
    }
}

async fn past_deadline(runner: &Runner) {
    let mut deadlines = runner.deadlines();
    loop {
        let end = *deadlines.borrow_and_update() + GRACE;
        tokio::select! {
            () = tokio::time::sleep_until(end.into()) => return,
            changed = deadlines.changed() => if changed.is_err() { return },
        }
    }
}

/// Actions cancels a job with SIGINT, then SIGTERM.
async fn told_to_stop() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn conclude(runner: &Runner, ended: &Result<Conclusion, Failed>) -> ResultFile {
    runner.know(|result| match ended {
        Ok(conclusion) => {
            result.exit = conclusion.exit;
            conclusion.verdict.clone_into(&mut result.verdict);
            result.reason.clone_from(&conclusion.reason);
        }
        Err(failed) => {
            result.exit = failed.exit();
            result.verdict = failed.exit().to_string();
            result.reason = failed.to_string();
            result.class = failed.class();
            match failed {
                Failed::Refused(reasons) => result.refusals.clone_from(reasons),
                Failed::Broken(failure, _) => result.failure = Some((**failure).clone()),
                Failed::Misused(_) | Failed::Outside(..) => {}
            }
        }
    });
    runner.finished()
}

fn report(
    runner: &Runner,
    options: &Options,
    result: &ResultFile,
    ended: &Result<Conclusion, Failed>,
) -> ExitCode {
    let (console, environment) = (runner.console(), runner.environment());
    let program = result.program.to_string();
    console.end_group();
    tell(console, &program, ended);
    let mut written = vec![(
        options.result.as_path(),
        write_result(&options.result, result),
    )];
    if let Some(file) = environment.output_file() {
        written.push((file, append_outputs(file, &outputs(result))));
    }
    if let Some(file) = environment.summary_file() {
        written.push((file, append_summary(file, &summary(result))));
    }
    let mut exit = result.exit.code();
    for (file, written) in written {
        if let Err(error) = written {
            console.error(
                &program,
                &format!("write {}: {error}; make it writable", file.display()),
            );
            // What the next step reads is not there, so this one has not done its work.
            exit = if exit == 0 { 2 } else { exit };
        }
    }
    ExitCode::from(exit)
}

fn tell(console: &Console, program: &str, ended: &Result<Conclusion, Failed>) {
    match ended {
        Ok(conclusion) => console.line(&format!("{}: {}", conclusion.verdict, conclusion.reason)),
        Err(Failed::Refused(reasons)) => {
            for reason in reasons {
                console.error(program, reason);
            }
        }
        Err(failed) => {
            if let Failed::Broken(failure, _) = failed
                && !failure.log.is_empty()
            {
                console.foreign(failure.class.log_heading(), &failure.log);
            }
            console.error(program, &failed.to_string());
        }
    }
}
