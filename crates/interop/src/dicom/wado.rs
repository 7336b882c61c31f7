//! WADO-RS: what is retrieved (PS3.18 §10.4).

use super::{Uid, elements};
use crate::fhir::Resource;

/// Frames that one request names.
const FRAMES_MAX: usize = 1_000;

/// What is retrieved of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retrieval {
    /// The study.
    pub study: Uid,
    /// One of its series.
    pub series: Option<Uid>,
    /// One of its instances.
    pub instance: Option<Uid>,
    /// `metadata`, `rendered`, `thumbnail`, or `frames/` with numbers and maybe one of these behind it.
    form: Option<String>,
}

impl Retrieval {
    /// Reads what stands behind `studies/`: UIDs in the order of study, series and instance, then a form. Nothing else gets to an
    /// archive.
    pub fn parse(path: &str) -> Option<Self> {
        let mut segments = path.split('/').peekable();
        let study = Uid::parse(segments.next()?)?;
        let series = match segments.next_if_eq(&"series") {
            Some(_) => Some(Uid::parse(segments.next()?)?),
            None => None,
        };
        let instance = match segments.next_if_eq(&"instances") {
            Some(_) if series.is_some() => Some(Uid::parse(segments.next()?)?),
            Some(_) => return None,
            None => None,
        };
        let frames = match segments.next_if_eq(&"frames") {
            Some(_) if instance.is_some() => Some(frames(segments.next()?)?),
            Some(_) => return None,
            None => None,
        };
        let form = match (segments.next(), &frames) {
            (None, _) => None,
            (Some("metadata"), None) => Some("metadata"),
            (Some(form @ ("rendered" | "thumbnail")), _) => Some(form),
            (Some(_), _) => return None,
        };
        if segments.next().is_some() {
            return None;
        }
        let parts: Vec<&str> = frames.as_deref().into_iter().chain(form).collect();
        Some(Self {
            study,
            series,
            instance,
            form: (!parts.is_empty()).then(|| parts.join("/")),
        })
    }

    /// The path behind a base of DICOMweb services, from `/studies`.
    pub fn path(&self) -> String {
        let mut path = format!("/studies/{}", self.study.as_str());
        let named = [("series", &self.series), ("instances", &self.instance)];
        for (name, uid) in named {
            if let Some(uid) = uid {
                path.extend(["/", name, "/", uid.as_str()]);
            }
        }
        if let Some(form) = &self.form {
            path.extend(["/", form]);
        }
        path
    }
}

/// `frames/1,2,3`, if these are numbers from 1.
fn frames(list: &str) -> Option<String> {
    let is_number = |one: &str| one.parse::<u32>().is_ok_and(|number| number > 0);
    let is_list = list.split(',').count() <= FRAMES_MAX
        && list.bytes().all(|one| one.is_ascii_digit() || one == b',')
        && list.split(',').all(is_number);
    is_list.then(|| format!("frames/{list}"))
}

/// Whether an `ImagingStudy` has the series and the instance that are asked for. An archive is not relied upon to hold a
/// series against the study that it is asked for in.
pub fn lists(study: &Resource, asked: &Retrieval) -> bool {
    let Some(series) = &asked.series else {
        return true;
    };
    let mut listed = elements(study.get("series"))
        .filter(|one| one.get("uid").is_some_and(|uid| uid == series.as_str()));
    listed.any(|one| match &asked.instance {
        None => true,
        Some(instance) => elements(one.get("instance"))
            .any(|one| one.get("uid").is_some_and(|uid| uid == instance.as_str())),
    })
}
