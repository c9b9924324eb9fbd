//! Five hundred tests with twenty resources each, of which a tenth leaks one. A comment `LEAK name` marks the line of
//! each leak.

use std::mem::forget;

use castoff::{ResourceGuard, ResourceManager};

fn hold(manager: &ResourceManager) -> Vec<ResourceGuard<()>> {
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

/// What it registers is made where the macro is called.
macro_rules! leaky {
    ($name:ident) => {
        #[castoff::test]
        fn $name(manager: &ResourceManager) {
            let _held = hold(manager);
            forget(manager.guard("last", || ()));
        }
    };
}

clean! {
    t000 t001 t002 t004 t005 t006 t007 t008 t009 t010 t011 t012 t014 t015 t016 t017 t018 t019
    t020 t021 t022 t024 t025 t026 t027 t028 t029 t030 t031 t032 t034 t035 t036 t037 t038 t039
    t040 t041 t042 t044 t045 t046 t047 t048 t049 t050 t051 t052 t054 t055 t056 t057 t058 t059
    t060 t061 t062 t064 t065 t066 t067 t068 t069 t070 t071 t072 t074 t075 t076 t077 t078 t079
    t080 t081 t082 t084 t085 t086 t087 t088 t089 t090 t091 t092 t094 t095 t096 t097 t098 t099
    t100 t101 t102 t104 t105 t106 t107 t108 t109 t110 t111 t112 t114 t115 t116 t117 t118 t119
    t120 t121 t122 t124 t125 t126 t127 t128 t129 t130 t131 t132 t134 t135 t136 t137 t138 t139
    t140 t141 t142 t144 t145 t146 t147 t148 t149 t150 t151 t152 t154 t155 t156 t157 t158 t159
    t160 t161 t162 t164 t165 t166 t167 t168 t169 t170 t171 t172 t174 t175 t176 t177 t178 t179
    t180 t181 t182 t184 t185 t186 t187 t188 t189 t190 t191 t192 t194 t195 t196 t197 t198 t199
    t200 t201 t202 t204 t205 t206 t207 t208 t209 t210 t211 t212 t214 t215 t216 t217 t218 t219
    t220 t221 t222 t224 t225 t226 t227 t228 t229 t230 t231 t232 t234 t235 t236 t237 t238 t239
    t240 t241 t242 t244 t245 t246 t247 t248 t249 t250 t251 t252 t254 t255 t256 t257 t258 t259
    t260 t261 t262 t264 t265 t266 t267 t268 t269 t270 t271 t272 t274 t275 t276 t277 t278 t279
    t280 t281 t282 t284 t285 t286 t287 t288 t289 t290 t291 t292 t294 t295 t296 t297 t298 t299
    t300 t301 t302 t304 t305 t306 t307 t308 t309 t310 t311 t312 t314 t315 t316 t317 t318 t319
    t320 t321 t322 t324 t325 t326 t327 t328 t329 t330 t331 t332 t334 t335 t336 t337 t338 t339
    t340 t341 t342 t344 t345 t346 t347 t348 t349 t350 t351 t352 t354 t355 t356 t357 t358 t359
    t360 t361 t362 t364 t365 t366 t367 t368 t369 t370 t371 t372 t374 t375 t376 t377 t378 t379
    t380 t381 t382 t384 t385 t386 t387 t388 t389 t390 t391 t392 t394 t395 t396 t397 t398 t399
    t400 t401 t402 t404 t405 t406 t407 t408 t409 t410 t411 t412 t414 t415 t416 t417 t418 t419
    t420 t421 t422 t424 t425 t426 t427 t428 t429 t430 t431 t432 t434 t435 t436 t437 t438 t439
    t440 t441 t442 t444 t445 t446 t447 t448 t449 t450 t451 t452 t454 t455 t456 t457 t458 t459
    t460 t461 t462 t464 t465 t466 t467 t468 t469 t470 t471 t472 t474 t475 t476 t477 t478 t479
    t480 t481 t482 t484 t485 t486 t487 t488 t489 t490 t491 t492 t494 t495 t496 t497 t498 t499
}

leaky!(t003); // LEAK t003
leaky!(t013); // LEAK t013
leaky!(t023); // LEAK t023
leaky!(t033); // LEAK t033
leaky!(t043); // LEAK t043
leaky!(t053); // LEAK t053
leaky!(t063); // LEAK t063
leaky!(t073); // LEAK t073
leaky!(t083); // LEAK t083
leaky!(t093); // LEAK t093
leaky!(t103); // LEAK t103
leaky!(t113); // LEAK t113
leaky!(t123); // LEAK t123
leaky!(t133); // LEAK t133
leaky!(t143); // LEAK t143
leaky!(t153); // LEAK t153
leaky!(t163); // LEAK t163
leaky!(t173); // LEAK t173
leaky!(t183); // LEAK t183
leaky!(t193); // LEAK t193
leaky!(t203); // LEAK t203
leaky!(t213); // LEAK t213
leaky!(t223); // LEAK t223
leaky!(t233); // LEAK t233
leaky!(t243); // LEAK t243
leaky!(t253); // LEAK t253
leaky!(t263); // LEAK t263
leaky!(t273); // LEAK t273
leaky!(t283); // LEAK t283
leaky!(t293); // LEAK t293
leaky!(t303); // LEAK t303
leaky!(t313); // LEAK t313
leaky!(t323); // LEAK t323
leaky!(t333); // LEAK t333
leaky!(t343); // LEAK t343
leaky!(t353); // LEAK t353
leaky!(t363); // LEAK t363
leaky!(t373); // LEAK t373
leaky!(t383); // LEAK t383
leaky!(t393); // LEAK t393
leaky!(t403); // LEAK t403
leaky!(t413); // LEAK t413
leaky!(t423); // LEAK t423
leaky!(t433); // LEAK t433
leaky!(t443); // LEAK t443
leaky!(t453); // LEAK t453
leaky!(t463); // LEAK t463
leaky!(t473); // LEAK t473
leaky!(t483); // LEAK t483
leaky!(t493); // LEAK t493
