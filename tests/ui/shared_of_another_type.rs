//! Refused: a making that makes something else.

use castoff::testing::Shared;

static PORT: Shared<u16> = Shared::new("port", &|| "5432", &|_| ());

#[castoff::test]
fn test() {
    PORT.get();
}
