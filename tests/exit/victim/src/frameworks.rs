//! Ends with a runtime or a logger around.

use std::process::ExitCode;
use std::time::Duration;

use castoff::{ExitHookError, ExitOptions};

use crate::fleet::{Kind, fleet, global, install, wait_for_ever};
use crate::log::say;

pub fn run(case: &str, kind: Kind) -> Option<ExitCode> {
    Some(match case {
        "tokio-current-return" => current_thread(held(kind)),
        "tokio-multi-return" => multi_thread(held(kind)),
        "tokio-current-exit" => current_thread(exits(kind)),
        "tokio-multi-exit" => multi_thread(exits(kind)),
        "tokio-current-task" => current_thread(in_a_task(kind)),
        "tokio-multi-task" => multi_thread(in_a_task(kind)),
        "tokio-current-wait" => current_thread(waits(kind)),
        "tokio-multi-wait" => multi_thread(waits(kind)),
        "tokio-current-token" => current_thread(awaits(kind)),
        "tokio-multi-token" => multi_thread(awaits(kind)),
        "tokio-run" => castoff::run(|| multi_thread(held(kind))),
        "tokio-hears-too" => current_thread(async move {
            let _guards = fleet(global(), kind);
            install(ExitOptions::default()).forget();
            let heard = tokio::signal::ctrl_c();
            tokio::spawn(async { say("ready") });
            heard.await.expect("tokio hears signals");
            wait_for_ever()
        }),
        "ctrlc-was-first" => {
            let _guard = global().guard("pool", || say("pool"));
            ctrlc::set_handler(|| say("ctrlc heard it")).expect("nobody was first");
            let refused = global().install_exit_hooks(ExitOptions::default());
            assert!(matches!(refused, Err(ExitHookError::ForeignHandler { signal: 2 })), "{refused:?}");
            // Nor are they there when the signals are free again: ctrlc can be had once in a process.
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                // SAFETY: the default disposition runs no code.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            for _ in 0..2 {
                let refused = global().install_exit_hooks(ExitOptions::default());
                assert!(matches!(refused, Err(ExitHookError::ForeignHandler { signal: 2 })), "{refused:?}");
            }
            ExitCode::SUCCESS
        }
        "tokio-was-first" => current_thread(async {
            let mut heard = Box::pin(tokio::signal::ctrl_c());
            tokio::select! { biased; _ = &mut heard => {}, () = tokio::task::yield_now() => {} }
            let refused = global().install_exit_hooks(ExitOptions::default());
            assert!(matches!(refused, Err(ExitHookError::ForeignHandler { signal: 2 })), "{refused:?}");
            say("ready");
            heard.await.expect("tokio hears signals");
            say("tokio heard it");
            ExitCode::SUCCESS
        }),
        "tracing-exit" | "tracing-wait" => {
            tracing_subscriber::fmt().with_writer(std::io::stderr).init();
            let _entered = tracing::info_span!("main").entered();
            let _talks = global().guard("talks", || {
                let _span = tracing::info_span!("cleanup").entered();
                tracing::info!("traced");
                say("talked");
            });
            let _guards = fleet(global(), kind);
            end(case.ends_with("exit"))
        }
        "env-logger-exit" | "env-logger-wait" => {
            env_logger::Builder::new().filter_level(log::LevelFilter::Info).init();
            let _talks = global().guard("talks", || {
                log::info!("traced");
                say("talked");
            });
            let _guards = fleet(global(), kind);
            end(case.ends_with("exit"))
        }
        _ => return None,
    })
}

fn end(by_exit: bool) -> ! {
    if by_exit {
        std::process::exit(5);
    }
    install(ExitOptions::default()).forget();
    say("ready");
    wait_for_ever()
}

#[tokio::main(flavor = "current_thread")]
async fn current_thread(body: impl Future<Output = ExitCode>) -> ExitCode {
    body.await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn multi_thread(body: impl Future<Output = ExitCode>) -> ExitCode {
    body.await
}

async fn held(kind: Kind) -> ExitCode {
    let guards = fleet(global(), kind);
    tokio::time::sleep(Duration::from_millis(1)).await;
    std::mem::forget(guards);
    ExitCode::from(3)
}

async fn exits(kind: Kind) -> ExitCode {
    let _guards = fleet(global(), kind);
    tokio::time::sleep(Duration::from_millis(1)).await;
    std::process::exit(3)
}

/// A task that never ends, and owns the guards: the runtime's own end drops it.
async fn in_a_task(kind: Kind) -> ExitCode {
    let guards = fleet(global(), kind);
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let [_pool, _cache, _server] = guards;
        tell.send(()).expect("main waits for it");
        std::future::pending::<()>().await;
    });
    told.await.expect("the task has its guards");
    ExitCode::from(3)
}

async fn waits(kind: Kind) -> ExitCode {
    let _guards = fleet(global(), kind);
    install(ExitOptions::default()).forget();
    say("ready");
    tokio::time::sleep(Duration::from_secs(120)).await;
    panic!("nothing has ended this process")
}

async fn awaits(kind: Kind) -> ExitCode {
    let _guards = fleet(global(), kind);
    let _last = global().guard("last", || std::thread::sleep(Duration::from_millis(100)));
    install(ExitOptions::default()).forget();
    say("ready");
    let mut token = global().shutdown_requested();
    let also = tokio::spawn(token.clone());
    let cancellation = token.cancellation_token();
    let own = token.cancellation_token();
    own.cancel();
    assert!(!token.is_requested() && !cancellation.is_cancelled(), "cancelling one's own fires nothing");
    let cancelled = tokio::spawn(async move { cancellation.cancelled().await });
    loop {
        tokio::select! {
            () = &mut token => break,
            () = tokio::time::sleep(Duration::from_millis(1)) => {}
        }
    }
    also.await.expect("the task hears it too");
    cancelled.await.expect("so does who knows of cancellation tokens");
    assert!(global().shutdown_requested().cancellation_token().is_cancelled(), "also who asks later");
    say("heard");
    std::future::pending().await
}
