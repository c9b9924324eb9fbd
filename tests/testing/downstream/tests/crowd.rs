//! A hundred tests with twenty resources each, of which a tenth leaks. A comment `LEAK name` marks the line of each leak.

use std::mem::forget;

use castoff::ResourceManager;

fn hold(manager: &ResourceManager) -> Vec<castoff::ResourceGuard<()>> {
    (0..19).map(|number| manager.guard(format!("resource {number}"), || ())).collect()
}

macro_rules! clean {
    ($($name:ident)*) => {
        $(
            #[castoff::test]
            fn $name(manager: &ResourceManager) {
                let _held = hold(manager);
                let _last = manager.guard("last", || ());
            }
        )*
    };
}

clean! {
    t00 t01 t02 t04 t05 t06 t07 t08 t09 t10 t11 t12 t14 t15 t16
    t17 t18 t19 t20 t21 t22 t24 t25 t26 t27 t28 t29 t30 t31 t32
    t34 t35 t36 t37 t38 t39 t40 t41 t42 t44 t45 t46 t47 t48 t49
    t50 t51 t52 t54 t55 t56 t57 t58 t59 t60 t61 t62 t64 t65 t66
    t67 t68 t69 t70 t71 t72 t74 t75 t76 t77 t78 t79 t80 t81 t82
    t84 t85 t86 t87 t88 t89 t90 t91 t92 t94 t95 t96 t97 t98 t99
}

#[castoff::test]
fn t03(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t03
}

#[castoff::test]
fn t13(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t13
}

#[castoff::test]
fn t23(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t23
}

#[castoff::test]
fn t33(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t33
}

#[castoff::test]
fn t43(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t43
}

#[castoff::test]
fn t53(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t53
}

#[castoff::test]
fn t63(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t63
}

#[castoff::test]
fn t73(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t73
}

#[castoff::test]
fn t83(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t83
}

#[castoff::test]
fn t93(manager: &ResourceManager) {
    let _held = hold(manager);
    forget(manager.guard("last", || ())); // LEAK t93
}
