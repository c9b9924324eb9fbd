use super::*;
use crate::registry::tests::child;
use crate::teardown::choose::Choice;

fn ways(choice: &Choice, node: &Arc<Node>) -> Vec<Label> {
    choice.ways().remove(&node.id).expect("it is listed")
}

#[test]
fn the_way_to_a_manager_names_those_below_the_one_that_is_torn_down() {
    let top = manager();
    let root = child("root", &top);
    let (one, other) = (child("one", &root), child("other", &root));
    let below = child("below", &one);
    let choice = choose(&root, &Selection::default(), false);
    assert_eq!(ways(&choice, &root), [] as [Label; 0]);
    assert_eq!(ways(&choice, &one), [Label::from("one")]);
    assert_eq!(ways(&choice, &other), [Label::from("other")]);
    assert_eq!(ways(&choice, &below), [Label::from("one"), Label::from("below")]);
    assert_eq!(choice.ways().len(), 4);
}
