//! What should not be alive: found, with its reasons, told of once, shown by line, and known ones left out.

mod allow;
mod crowd;
mod evidence;
mod growth;
mod reasons;
mod report;
mod told;
