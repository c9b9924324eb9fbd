//! Has castoff's source compiled once more without the evidence that it collects by default.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=castoff_bare");
}
