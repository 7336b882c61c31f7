//! Whole Bundles through the public interface: the sample data, where it is, and fixtures.

#[cfg(test)]
mod examples;
#[cfg(test)]
mod planning;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod spreading;
mod words;
#[cfg(test)]
mod xml;
