//! Containers of testcontainers, of an engine that speaks Docker's protocol and runs nothing: its answers to the four calls
//! that a container needs are those of the real one, and who asked what is seen from there.

#![allow(unsafe_code)] // testcontainers learns from the environment where its engine is.

use std::collections::HashSet;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use castoff::adapters::{Gone, HttpServer, TestContainer};
use castoff::{Resource, ResourceGuard, ResourceManager, ResourceState};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;

use crate::alone::{alone, until};
use crate::contract::{Case, Hangs, manager, printed};
use crate::support::runtime;

/// What the engine has, and how it answers who wants a container removed.
struct Engine {
    containers: Mutex<HashSet<String>>,
    /// The last query of a removal.
    asked: Mutex<String>,
    asks: AtomicUsize,
    /// A status that is answered instead of a removal; 0 for none.
    refuses: AtomicU16,
    hangs: AtomicBool,
    released: Semaphore,
}

impl Engine {
    fn has(&self, id: &str) -> bool {
        self.containers.lock().unwrap().contains(id)
    }
}

type Known = State<Arc<Engine>>;

fn json(status: StatusCode, body: String) -> impl IntoResponse {
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}

fn missing(id: &str) -> String {
    format!(r#"{{"message":"No such container: {id}"}}"#)
}

async fn create(State(engine): Known) -> impl IntoResponse {
    let mut containers = engine.containers.lock().unwrap();
    let id = format!("{:064x}", 0xC0FFEE + containers.len());
    containers.insert(id.clone());
    json(StatusCode::CREATED, format!(r#"{{"Id":"{id}","Warnings":[]}}"#))
}

async fn inspect(State(engine): Known, Path(id): Path<String>) -> impl IntoResponse {
    if engine.has(&id) {
        json(StatusCode::OK, format!(r#"{{"Id":"{id}","NetworkSettings":{{"Ports":{{}}}}}}"#))
    } else {
        json(StatusCode::NOT_FOUND, missing(&id))
    }
}

async fn remove(
    State(engine): Known,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> impl IntoResponse {
    engine.asks.fetch_add(1, Ordering::SeqCst);
    *engine.asked.lock().unwrap() = query.unwrap_or_default();
    if engine.hangs.load(Ordering::SeqCst) {
        drop(engine.released.acquire().await);
    }
    match engine.refuses.load(Ordering::SeqCst) {
        0 if engine.containers.lock().unwrap().remove(&id) => json(StatusCode::NO_CONTENT, String::new()),
        0 => json(StatusCode::NOT_FOUND, missing(&id)),
        refusal => {
            let status = StatusCode::from_u16(refusal).unwrap();
            json(status, r#"{"message":"the disk is on fire"}"#.into())
        }
    }
}

/// The engine, on a runtime of its own.
struct Witness {
    engine: Arc<Engine>,
    id: String,
    server: Option<ResourceGuard<HttpServer>>,
    _runtime: Runtime,
}

impl Witness {
    fn new() -> Witness {
        let engine = Arc::new(Engine {
            containers: Mutex::default(),
            asked: Mutex::default(),
            asks: AtomicUsize::new(0),
            refuses: AtomicU16::new(0),
            hangs: AtomicBool::new(false),
            released: Semaphore::new(0),
        });
        let runtime = runtime();
        let routes = Router::new()
            .route("/containers/create", post(create))
            .route("/containers/{id}/start", post(|| async { StatusCode::NO_CONTENT }))
            .route("/containers/{id}/json", get(inspect))
            .route("/containers/{id}", delete(remove))
            .with_state(Arc::clone(&engine));
        let server = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            ResourceManager::new("engine").adopt(HttpServer::serve(listener, routes).unwrap())
        });
        // SAFETY: the process has one test, and no other thread of it reads the environment before testcontainers does.
        unsafe { env::set_var("DOCKER_HOST", format!("tcp://{}", server.address())) };
        Witness { engine, id: String::new(), server: Some(server), _runtime: runtime }
    }

    fn is_removed(&self) -> bool {
        !self.engine.has(&self.id)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.engine.released.close();
        drop(self.server.take());
    }
}

/// A container that was started on a runtime that is gone, as the one of a test is when statics are dropped.
fn started() -> (ContainerAsync<GenericImage>, Witness) {
    let mut witness = Witness::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let container = runtime.block_on(GenericImage::new("tea", "green").start()).unwrap();
    witness.id = container.id().to_owned();
    (container, witness)
}

struct Container;

impl Case for Container {
    type Adopted = TestContainer<GenericImage>;
    type Witness = Witness;

    fn make() -> (TestContainer<GenericImage>, Witness) {
        let (container, witness) = started();
        (TestContainer::new(container), witness)
    }

    fn is_over(witness: &Witness) -> bool {
        witness.is_removed()
    }

    /// Somebody says `docker rm --force`.
    fn end_first(_: &mut TestContainer<GenericImage>, witness: &Witness) {
        assert!(witness.engine.containers.lock().unwrap().remove(&witness.id));
    }
}

impl Hangs for Container {
    /// The engine has heard it, and does not answer.
    fn make_hanging() -> (TestContainer<GenericImage>, Witness) {
        let (container, witness) = Container::make();
        witness.engine.hangs.store(true, Ordering::SeqCst);
        (container, witness)
    }

    /// What was asked for is done all the same when the engine gets to it.
    fn after(witness: Witness) {
        assert!(!witness.is_removed());
        witness.engine.released.add_permits(1);
        until("the engine to have removed it", || witness.is_removed());
        assert_eq!(witness.engine.asks.load(Ordering::SeqCst), 1);
    }
}

contract!(Container);

#[test]
fn it_is_killed_and_its_volumes_go_with_it() {
    alone(|| {
        let (container, witness) = Container::make();
        ResourceGuard::close(manager().adopt(container)).unwrap();
        let asked = witness.engine.asked.lock().unwrap().clone();
        assert!(asked.contains("force=true") && asked.contains("v=true"), "{asked}");
        assert_eq!(witness.engine.asks.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn it_can_be_dropped_inside_of_a_runtime_with_one_thread() {
    alone(|| {
        let mut witness = Witness::new();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let manager = manager();
            let started = GenericImage::new("tea", "green").start().await.unwrap();
            started.id().clone_into(&mut witness.id);
            let guard = manager.adopt(TestContainer::new(started));
            assert_eq!(guard.get().await.unwrap().id(), witness.id);
            assert!(manager.cleanup().is_success(), "it blocks the runtime that started the container");
            assert!(witness.is_removed());
            assert_eq!(guard.get().await.err(), Some(Gone));
        });
    });
}

#[test]
fn one_that_is_in_hand_is_waited_for() {
    alone(|| {
        let (container, witness) = Container::make();
        let runtime = runtime();
        let manager = manager();
        let guard = manager.adopt(container);
        let borrowed = runtime.block_on(guard.get()).unwrap();
        let cleaning = std::thread::spawn({
            let manager = manager.clone();
            move || manager.cleanup()
        });
        until("the cleanup to have begun", || ResourceGuard::state(&guard) == ResourceState::Cleaning);
        assert!(!witness.is_removed());
        drop(borrowed);
        assert!(cleaning.join().unwrap().is_success());
        assert!(witness.is_removed());
    });
}

#[test]
fn one_that_was_never_adopted_is_removed_by_its_drop() {
    alone(|| {
        let (container, witness) = Container::make();
        drop(container);
        assert!(witness.is_removed());
    });
}

#[test]
fn it_is_given_back_as_it_was() {
    alone(|| {
        let (container, witness) = Container::make();
        let container = container.into_inner().expect("nothing has cleaned it");
        assert_eq!(container.id(), witness.id);
        assert!(!witness.is_removed());
        runtime().block_on(container.rm()).unwrap();
        assert!(witness.is_removed());
    });
}

#[test]
fn the_label_is_what_docker_shows() {
    alone(|| {
        let (container, _witness) = Container::make();
        assert_eq!(&*container.label(), "container 000000000000 of tea:green");
        assert_eq!(container.id().len(), 64);
    });
}

#[test]
fn what_is_printed_of_it_is_its_label_and_whether_somebody_has_it() {
    alone(|| {
        let (container, _witness) = Container::make();
        let told = |closed| {
            let slot = format!("Slot {{ lent: false, closed: {closed}, .. }}");
            format!("TestContainer {{ label: Label(\"container 000000000000 of tea:green\"), slot: {slot} }}")
        };
        assert_eq!(printed(container), [told(false), told(true)]);
    });
}

#[test]
fn what_the_engine_says_is_in_the_error() {
    alone(|| {
        let (container, witness) = Container::make();
        witness.engine.refuses.store(500, Ordering::SeqCst);
        let error = ResourceGuard::close(manager().adopt(container)).unwrap_err().to_string();
        assert!(
            error.contains("container 000000000000 of tea:green") && error.contains("the disk is on fire"),
            "{error}"
        );
        assert!(!witness.is_removed());
    });
}

#[test]
fn one_that_somebody_is_removing_is_a_success() {
    alone(|| {
        let (container, witness) = Container::make();
        witness.engine.refuses.store(409, Ordering::SeqCst);
        ResourceGuard::close(manager().adopt(container)).unwrap();
    });
}

#[test]
fn one_that_is_to_be_kept_is_kept() {
    alone(|| {
        // SAFETY: see above.
        unsafe { env::set_var("TESTCONTAINERS_COMMAND", "keep") };
        let (container, witness) = Container::make();
        ResourceGuard::close(manager().adopt(container)).unwrap();
        assert!(!witness.is_removed());
        assert_eq!(witness.engine.asks.load(Ordering::SeqCst), 0);
    });
}
