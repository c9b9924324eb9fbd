//! What is wrong with a rule.

use crate::leak::LeakAllowList;

#[test]
fn a_rule_that_is_not_one_says_what_is_missing() {
    let wrong = [
        ("pool", "nothing else"),
        ("pool until 2030-01-01", "`because`"),
        ("pool because of it", "`until`"),
        ("pool until 2030-02-30 because of it", "date"),
        ("pool until 2030-01-01 because  ", "no reason"),
        ("\"pool until 2030-01-01 because of it", "quote"),
        ("pool in src until 2030-01-01 because of it", "between"),
    ];
    for (text, said) in wrong {
        let Err(error) = LeakAllowList::parse(&format!("# rules\n{text}")) else { panic!("{text}") };
        assert!(error.to_string().contains(said) && error.to_string().contains("line 2"), "{text}: {error}");
    }
}
