//! Refused: more than the manager.

#[castoff::test]
fn test(manager: &castoff::ResourceManager, number: u8) {
    drop((manager, number));
}
