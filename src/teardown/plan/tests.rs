//! How a plan is listed and drawn.

use super::*;
use crate::report::SkipReason;

fn site() -> &'static Location<'static> {
    Location::caller()
}

fn step(label: &str, category: Category, needs: &[usize]) -> PlannedStep {
    PlannedStep {
        id: ResourceId(label.bytes().map(u64::from).sum()),
        label: Label::from(label.to_owned()),
        category,
        priority: Priority::Medium,
        urgency: Priority::Medium,
        created_at: site(),
        managers: Vec::new(),
        timeout: Duration::from_secs(10),
        needs: needs.to_vec(),
    }
}

fn plan(steps: Vec<PlannedStep>) -> TeardownPlan {
    TeardownPlan::new("orders".into(), steps, Vec::new())
}

/// A web manager in the root, an API manager in that one, and a pool that is the root's own.
fn service() -> TeardownPlan {
    let server = step("http server", Category::Network, &[1, 2]);
    let server =
        PlannedStep { urgency: Priority::Critical, managers: vec!["web".into(), "api".into()], ..server };
    let workers = PlannedStep { managers: vec!["web".into()], ..step("workers", Category::Process, &[2]) };
    let workers = PlannedStep { timeout: Duration::MAX, urgency: Priority::Critical, ..workers };
    let pool = PlannedStep { priority: Priority::Critical, ..step("データ", Category::Database, &[]) };
    let skipped = SkippedResource {
        id: ResourceId(9),
        label: "cache".into(),
        category: Category::Custom("cache"),
        created_at: site(),
        reason: SkipReason::DependentOutside { dependents: vec!["ui".into()] },
    };
    let pool = PlannedStep { urgency: Priority::Critical, ..pool };
    TeardownPlan::new("orders".into(), vec![server, workers, pool], vec![skipped])
}

#[test]
fn a_small_plan_reads_like_this() {
    let expected = format!(
        "\
teardown plan of `orders`: 3 cleanups, 1 skipped
  #  resource     category  priority                       timeout  manager    made at
  1  http server  network   medium, as urgent as critical     10 s  web / api  {s}  before workers, データ
  2  workers      process   medium, as urgent as critical     none  web        {s}  before データ
  3  データ       database  critical                          10 s             {s}
skipped: `cache` (made at {s}): its dependent `ui` is live and no part of this teardown",
        s = site()
    );
    assert_eq!(service().to_string(), expected);
}

#[test]
fn without_child_managers_there_is_no_column_for_them() {
    let expected = format!(
        "\
teardown plan of `orders`: 1 cleanup
  #  resource  category  priority  timeout  made at
  1  pool      database  medium       10 s  {}",
        site()
    );
    assert_eq!(plan(vec![step("pool", Category::Database, &[])]).to_string(), expected);
}

#[test]
fn an_empty_plan_says_so_everywhere() {
    let empty = plan(Vec::new());
    assert!(empty.is_empty() && empty.order().is_empty());
    assert_eq!(empty.to_string(), "teardown plan of `orders`: nothing to clean");
    assert_eq!(empty.to_mermaid(), "flowchart TD\n");
    let dot = "digraph teardown {\n    label=\"teardown plan of `orders`\";\n    node [shape=box];\n}\n";
    assert_eq!(empty.to_dot(), dot);
}

#[test]
fn every_step_of_a_thousand_is_listed_in_order() {
    let steps = (0..1_000_usize).map(|n| {
        let needs: Vec<usize> = (n + 1..1_000).collect();
        step(&format!("r{n}"), Category::File, &needs)
    });
    let plan = plan(steps.collect());
    assert_eq!((plan.len(), plan.order().len()), (1_000, 1_000));
    let list = plan.to_string();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 1_002);
    assert!(
        lines[2].starts_with("     1  r0 ") && lines[2].ends_with("before r1, r2, r3, r4, r5 and 994 more")
    );
    assert!(lines[1_001].starts_with("  1000  r999 "), "{}", lines[1_001]);
}

#[test]
fn the_order_is_that_of_the_steps() {
    let plan = service();
    let expected: Vec<ResourceId> = plan.steps.iter().map(|step| step.id).collect();
    assert_eq!((plan.order(), plan.len(), plan.is_empty()), (expected, 3, false));
    assert_eq!((plan.manager(), plan.skipped().len()), (&"orders".into(), 1));
}

#[test]
fn in_graphviz_child_managers_are_clusters() {
    let expected = r#"digraph teardown {
    label="teardown plan of `orders`";
    node [shape=box];
    s3 [label="データ\nstep 3, database, critical"];
    subgraph cluster_1 {
        label="web";
        s2 [label="workers\nstep 2, process, medium, as urgent as critical"];
        subgraph cluster_2 {
            label="api";
            s1 [label="http server\nstep 1, network, medium, as urgent as critical"];
        }
    }
    s1 -> s2;
    s1 -> s3;
    s2 -> s3;
}
"#;
    assert_eq!(service().to_dot(), expected);
}

#[test]
fn in_mermaid_child_managers_are_subgraphs() {
    let expected = r#"flowchart TD
    s3["データ<br/>step 3, database, critical"]
    subgraph m1["web"]
        s2["workers<br/>step 2, process, medium, as urgent as critical"]
        subgraph m2["api"]
            s1["http server<br/>step 1, network, medium, as urgent as critical"]
        end
    end
    s1 --> s2
    s1 --> s3
    s2 --> s3
"#;
    assert_eq!(service().to_mermaid(), expected);
}

#[test]
fn labels_cannot_break_out_of_a_diagram() {
    let step = step("a \"b\" \\N\nc&d;\r1. [x] %%{y}%%", Category::Custom("my \"own\""), &[]);
    let plan = plan(vec![PlannedStep { managers: vec!["x\"y".into(), "".into()], ..step }]);

    let dot = plan.to_dot();
    let expected = r#"s1 [label="a \"b\" \\N\nc&amp;d;\\r1. [x] %%{y}%%\nstep 1, my \"own\", medium"];"#;
    assert!(dot.contains(expected), "{dot}");
    assert!(dot.contains(r#"label="x\"y";"#) && dot.contains(r#"label="unnamed";"#), "{dot}");

    let chart = plan.to_mermaid();
    let expected = "s1[\"a #quot;b#quot; #92;N<br/>c#38;d#59;#92;r1#46; #91;x#93; #37;#37;#123;y#125;#37;#37;\
                    <br/>step 1, my #quot;own#quot;, medium\"]";
    assert!(chart.contains(expected), "{chart}");
    assert!(chart.contains("m1[\"x#quot;y\"]") && chart.contains("m2[\"unnamed\"]"), "{chart}");
}

#[test]
fn mermaid_reads_common_labels_as_they_are_and_markdown_not_at_all() {
    let drawn = |label: &str| plan(vec![step(label, Category::File, &[])]).to_mermaid();
    assert!(drawn("orders-db/pool_2 for größe 数").contains("s1[\"orders-db/pool_2 for größe 数<br/>"));
    assert!(drawn("a -b").contains("s1[\"a #45;b<br/>"));
    assert!(drawn("- item").contains("s1[\"#45; item<br/>"));
    assert!(drawn("_x_ `y`").contains("s1[\"#95;x#95; #96;y#96;<br/>"));
    assert!(drawn("    code").contains("s1[\"#32;#32;#32;#32;code<br/>"));
    assert!(drawn("a  b ").contains("s1[\"a #32;b <br/>"));
}

#[cfg(feature = "serde")]
#[test]
fn json_holds_each_step_and_what_is_skipped() {
    let json = serde_json::to_value(service()).expect("a plan has only text keys");
    assert_eq!(json["manager"], "orders");
    assert_eq!(json["steps"][0]["managers"], serde_json::json!(["web", "api"]));
    assert_eq!(json["steps"][0]["needs"], serde_json::json!([1, 2]));
    assert_eq!(json["steps"][0]["timeout"]["secs"], 10);
    assert!(json["steps"][1]["timeout"].is_null());
    assert_eq!(json["steps"][0]["created_at"], site().to_string());
    assert_eq!(json["skipped"][0]["label"], "cache");
}
