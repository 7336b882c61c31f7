//! Taking a root that a member has kept in escrow: with it, the patient's keys are here from the first entry on.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contracts::escrow::{Taken, info, root_digest};
use ledger::codec;
use ledger::ids::{Digest, MemberName};
use serde_json::{Value, json};
use vault::wrap::WrappedKey;
use zeroize::Zeroizing;

use super::{Lineage, View, Wallet, WalletFolder};
use crate::client::{Client, Request};

/// A patient at the member that keeps the root.
pub(super) struct Escrow<'a> {
    pub(super) member: &'a str,
    pub(super) patient: &'a str,
    /// A system of that member which enrols patients.
    pub(super) through: &'a Client,
    /// Whether another wallet was offered the root before, and is lost.
    pub(super) instead: bool,
}

/// Has a wallet that is used nowhere yet take the root. It can be repeated where it was cut off.
pub(super) async fn take(
    view: &View,
    folder: &WalletFolder,
    name: &str,
    escrow: &Escrow<'_>,
) -> anyhow::Result<()> {
    let wallet = folder.wallet(name)?;
    let mut known = wallet.state.patients.iter();
    anyhow::ensure!(
        known.all(|(member, patient)| member == escrow.member && patient == escrow.patient),
        "the wallet is enrolled already, under a root of its own: take the escrow into a fresh one (`wallet new`)"
    );
    if !wallet.has_confirmed(view, escrow).await {
        let root = wallet.asked_root(view, escrow).await?;
        // Here before the member destroys its copy.
        folder.take_over(name, &Lineage::new(*root))?;
        wallet.confirm_root(view, escrow, &root).await?;
    }
    let mut wallet = folder.wallet(name)?;
    let (member, patient) = (escrow.member.to_owned(), escrow.patient.to_owned());
    wallet.state.patients.insert(member, patient);
    folder.save(&wallet)?;
    wallet.share(view, escrow.member).await
}

impl Wallet {
    /// Whether the member takes this wallet's word that it has the root: it was cut off after that, or says it only now.
    async fn has_confirmed(&self, view: &View, escrow: &Escrow<'_>) -> bool {
        let has_root = self.own.is_some();
        has_root
            && self
                .confirm_root(view, escrow, self.lineage.newest().expose())
                .await
                .is_ok()
    }

    async fn asked_root(
        &self,
        view: &View,
        escrow: &Escrow<'_>,
    ) -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let identity = self.identity();
        let (public, keys) = (identity.public(), identity.recipient("escrow"));
        let recipient = keys.public_key().0;
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "walletKey", "valueBase64Binary": STANDARD.encode(public) },
            { "name": "recipient", "valueBase64Binary": STANDARD.encode(recipient) },
            { "name": "instead", "valueBoolean": escrow.instead },
        ] });
        let path = format!("Patient/{}/$escrow-offer", escrow.patient);
        let answer = escrow.through.post(&path, &Request::json(&body)).await?;
        let answer = answer.ok()?.json()?;
        let sealed = answer.pointer("/parameter/0/valueBase64Binary");
        let sealed = sealed.and_then(Value::as_str);
        let sealed = STANDARD.decode(sealed.context("the member gave no root")?)?;
        let split = sealed.split_first_chunk::<32>();
        let (encapsulated, ciphertext) = split.context("the member gave no root")?;
        let wrapped = WrappedKey {
            encapsulated: *encapsulated,
            ciphertext: ciphertext.to_vec(),
        };
        let member: MemberName = escrow.member.parse()?;
        let opened = keys.unwrap(&info(view.network_id(), &member), &public, &wrapped)?;
        let root = Zeroizing::new(<[u8; 32]>::try_from(&*opened)?);
        Ok(root)
    }

    async fn confirm_root(
        &self,
        view: &View,
        escrow: &Escrow<'_>,
        root: &[u8; 32],
    ) -> anyhow::Result<()> {
        let place = (view.network_id(), escrow.member.parse()?);
        let identity = self.identity();
        let public = Digest(identity.public());
        let taken = Taken::sign(place, root_digest(root), public, |bytes| {
            identity.signing_key().sign(bytes).into()
        });
        let said = STANDARD.encode(codec::encode(&taken));
        let body = json!({ "resourceType": "Parameters", "parameter": [
            { "name": "said", "valueBase64Binary": said },
        ] });
        let path = format!("Patient/{}/$escrow-taken", escrow.patient);
        let through = escrow.through;
        through.post(&path, &Request::json(&body)).await?.ok()?;
        Ok(())
    }
}
