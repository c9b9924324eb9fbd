//! The model has the lock's source itself, told that it is a model.

fn main() {
    println!("cargo::rustc-cfg=castoff_model");
}
