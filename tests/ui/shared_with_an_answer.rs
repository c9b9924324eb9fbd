//! Refused: a cleanup of something shared that returns what nobody reads.

use castoff::testing::Shared;

static PORT: Shared<u16> = Shared::new("port", &|| 5432_u16, &|port: &u16| *port);

#[castoff::test]
fn test() {
    PORT.get();
}
