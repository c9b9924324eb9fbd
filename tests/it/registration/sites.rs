//! Creation sites: the line that a report, an error or an info names is the line that the user wrote.

use castoff::{Category, Cleanup, Resource, ResourceDefinition, ResourceGuard};

use crate::support::manager;

#[track_caller]
fn made_at<T>(guard: &ResourceGuard<T>, line: u32) {
    let created_at = ResourceGuard::info(guard).unwrap().created_at;
    assert_eq!((created_at.file(), created_at.line()), (file!(), line));
}

struct Plain;

impl Resource for Plain {
    const CATEGORY: Category = Category::Event;
    fn cleanup(&mut self) -> Cleanup {
        Cleanup::sync(|| ())
    }
}

#[test]
fn a_short_form_is_made_where_it_is_called() {
    let manager = manager();
    let (guard, line) = (manager.guard("pool", || ()), line!());
    made_at(&guard, line);
    let (valued, line) = (manager.guard_value("pool", 7, |_| ()), line!());
    made_at(&valued, line);
    let (adopted, line) = (manager.adopt(Plain), line!());
    made_at(&adopted, line);
}

#[test]
fn a_built_resource_is_made_where_its_registration_begins() {
    let manager = manager();
    let (registration, line) = (manager.resource("pool"), line!());
    let guard = registration.tag("orders").guard(|| ()).unwrap();
    made_at(&guard, line);
    let (registration, line) = (manager.resource("pool"), line!());
    let kept = registration.keep(7, Cleanup::sync(|| ())).unwrap();
    made_at(&kept, line);
}

#[test]
fn a_resource_of_a_batch_is_made_where_its_definition_is() {
    let (definition, line) = (ResourceDefinition::new("pool", || ()).tag("orders"), line!());
    let guards = manager().register_batch([definition]).unwrap();
    made_at(&guards[0], line);
}

#[test]
fn an_erased_guard_keeps_the_line_that_made_it() {
    let manager = manager();
    let (guard, line) = (manager.guard_value("pool", 7, |_| ()), line!());
    let erased = ResourceGuard::erase(guard);
    made_at(&erased, line);
}
