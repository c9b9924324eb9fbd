//! What a registration says is what the manager knows of the resource.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use castoff::{Category, Label, MetadataValue, Priority, ResourceGuard, ResourceState};

use crate::support::manager;

fn texts(labels: &[Label]) -> Vec<&str> {
    labels.iter().map(|label| &**label).collect()
}

#[test]
fn every_option_of_the_builder_is_in_the_info() {
    let manager = manager();
    let pool = manager.guard("pool", || ());
    let registration = manager
        .resource("server")
        .category(Category::Network)
        .priority(Priority::High)
        .timeout(Duration::from_secs(3))
        .description("answers orders")
        .named("orders-server")
        .depends_on(&pool)
        .estimated_bytes(4096)
        .long_lived();
    let server = registration.guard(|| ()).unwrap();
    let info = ResourceGuard::info(&server).unwrap();
    assert_eq!(info.id, ResourceGuard::id(&server));
    assert_eq!(&*info.label, "server");
    assert_eq!(info.name.as_deref(), Some("orders-server"));
    assert_eq!(info.category, Category::Network);
    assert_eq!(info.priority, Priority::High);
    assert_eq!(info.state, ResourceState::Live);
    assert_eq!(info.timeout, Some(Duration::from_secs(3)));
    assert_eq!(info.description.as_deref(), Some("answers orders"));
    assert_eq!(info.dependencies, [ResourceGuard::id(&pool)]);
    assert!(info.dependents.is_empty());
    assert_eq!(info.estimated_bytes, Some(4096));
    assert!(info.long_lived);
    assert_eq!(&*info.manager, "test");
}

#[test]
fn what_was_not_said_is_not_in_the_info() {
    let guard = manager().guard("pool", || ());
    let info = ResourceGuard::info(&guard).unwrap();
    assert!(info.name.is_none() && info.description.is_none() && info.estimated_bytes.is_none());
    assert!(info.tags.is_empty() && info.dependencies.is_empty() && info.dependents.is_empty());
    assert_eq!(info.metadata.len(), 0);
    assert!(!info.long_lived);
}

#[test]
fn tags_add_up_in_their_order() {
    let registration = manager();
    let registration = registration.resource("pool").tag("orders").tags(["primary", "eu"]).tag("slow");
    let guard = registration.guard(|| ()).unwrap();
    assert_eq!(texts(&ResourceGuard::info(&guard).unwrap().tags), ["orders", "primary", "eu", "slow"]);
}

#[test]
fn metadata_keeps_its_types() {
    let manager = manager();
    let registration =
        manager.resource("pool").metadata("host", "db1").metadata("port", 5432).metadata("tls", true);
    let guard =
        registration.metadata("load", 0.5).metadata("owner", String::from("orders")).guard(|| ()).unwrap();
    let metadata = ResourceGuard::info(&guard).unwrap().metadata;
    assert_eq!(metadata.len(), 5);
    assert_eq!(metadata.get("host"), Some(&MetadataValue::Text("db1".to_owned())));
    assert_eq!(metadata.get("port"), Some(&MetadataValue::Integer(5432)));
    assert_eq!(metadata.get("tls"), Some(&MetadataValue::Bool(true)));
    assert_eq!(metadata.get("load"), Some(&MetadataValue::Float(0.5)));
    assert_eq!(metadata.get("owner"), Some(&MetadataValue::Text("orders".to_owned())));
    assert_eq!(metadata.get("nothing"), None);
    let mut keys: Vec<&str> = metadata.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["host", "load", "owner", "port", "tls"]);
}

#[test]
fn whole_numbers_of_every_width_become_integers() {
    assert_eq!(MetadataValue::from(-1_i64), MetadataValue::Integer(-1));
    assert_eq!(MetadataValue::from(u32::MAX), MetadataValue::Integer(4_294_967_295));
    assert_eq!(MetadataValue::from(7).to_string(), "7");
}

#[test]
fn dependents_are_listed_with_what_they_depend_on() {
    let manager = manager();
    let pool = manager.guard("pool", || ());
    let one = manager.resource("one").depends_on(&pool).guard(|| ()).unwrap();
    let two = manager.resource("two").depends_on(ResourceGuard::id(&pool)).guard(|| ()).unwrap();
    let mut dependents = ResourceGuard::info(&pool).unwrap().dependents;
    dependents.sort_unstable();
    let mut expected = [ResourceGuard::id(&one), ResourceGuard::id(&two)];
    expected.sort_unstable();
    assert_eq!(dependents, expected);
    drop(one);
    assert_eq!(ResourceGuard::info(&pool).unwrap().dependents, [ResourceGuard::id(&two)]);
}

#[test]
fn a_dependency_said_twice_counts_once() {
    let manager = manager();
    let pool = manager.resource("pool").named("db").guard(|| ()).unwrap();
    let server = manager.resource("server").depends_on(&pool).depends_on(&pool).depends_on_name("db");
    let server = server.guard(|| ()).unwrap();
    assert_eq!(ResourceGuard::info(&server).unwrap().dependencies, [ResourceGuard::id(&pool)]);
    assert_eq!(ResourceGuard::info(&pool).unwrap().dependents, [ResourceGuard::id(&server)]);
}

#[test]
fn guards_of_any_value_and_strategy_can_be_depended_on() {
    let manager = manager();
    let plain = manager.guard("plain", || ());
    let valued = manager.guard_value("valued", 7, |_| ());
    let strategic = manager.resource("strategic").strategy::<castoff::OnUnwind>().guard(|| ()).unwrap();
    let server = manager.resource("server").depends_on(&plain).depends_on(&valued).depends_on(&strategic);
    let server = server.guard(|| ()).unwrap();
    assert_eq!(ResourceGuard::info(&server).unwrap().dependencies.len(), 3);
}

#[test]
fn a_shared_guard_can_be_depended_on() {
    let manager = manager();
    let pool = Arc::new(manager.guard("pool", || ()));
    let server = manager.resource("server").depends_on(&*pool).guard(|| ()).unwrap();
    assert_eq!(ResourceGuard::info(&server).unwrap().dependencies, [ResourceGuard::id(&pool)]);
}

#[test]
fn the_thread_that_registered_is_known_by_its_name() {
    let manager = manager();
    let made = manager.clone();
    let named = thread::Builder::new().name("worker-7".to_owned());
    let guard = named.spawn(move || made.guard("pool", || ())).unwrap().join().unwrap();
    assert_eq!(&*ResourceGuard::info(&guard).unwrap().thread, "worker-7");
}

#[test]
fn labels_are_made_from_every_kind_of_text() {
    let manager = manager();
    let borrowed = manager.guard("borrowed", || ());
    let owned = manager.guard(format!("owned-{}", 7), || ());
    let cow = manager.guard(Cow::Borrowed("cow"), || ());
    let shared = manager.guard(Arc::<str>::from("shared"), || ());
    let labels =
        [borrowed, owned, cow, shared].map(|guard| ResourceGuard::info(&guard).unwrap().label.to_string());
    assert_eq!(labels, ["borrowed", "owned-7", "cow", "shared"]);
}

#[test]
fn labels_may_repeat() {
    let manager = manager();
    let guards = [(); 3].map(|()| manager.guard("worker", || ()));
    assert_eq!(manager.resource_count(), guards.len());
}

#[test]
fn metadata_of_every_kind_is_shown_as_it_was_given_and_a_key_given_again_replaces_its_value() {
    let manager = manager();
    let plain = manager.guard("plain", || ());
    assert!(ResourceGuard::info(&plain).unwrap().metadata.is_empty());
    let registration = manager.resource("pool").metadata("host", "db-1").metadata("port", 5432);
    let registration = registration.metadata("load", 0.5).metadata("tls", false).metadata("tls", true);
    let guard = registration.guard(|| ()).unwrap();
    let metadata = ResourceGuard::info(&guard).unwrap().metadata;
    let shown: Vec<String> = metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(shown, ["host=db-1", "port=5432", "load=0.5", "tls=true"]);
    assert!(!metadata.is_empty());
}

#[test]
fn labels_are_in_the_order_of_their_texts_whatever_they_were_made_of() {
    let mut labels = [
        Label::from(Cow::<str>::Owned(String::from("cache"))),
        Label::from(Cow::Borrowed("queue")),
        Label::from(String::from("archive")),
        Label::from("pool"),
    ];
    labels.sort();
    assert_eq!(texts(&labels), ["archive", "cache", "pool", "queue"]);
    assert!(labels.is_sorted_by(|left, right| left.partial_cmp(right) == Some(Ordering::Less)));
}
