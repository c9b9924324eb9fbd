//! Refused: an argument that is no manager.

#[castoff::test]
fn test(manager: &str) {
    drop(manager);
}
