//! Validators without a chain: they vote, or talk, as no rule says.

use commonware_codec::{Copying, DecodeExt as _};
use commonware_consensus::simplex::mocks::{conflicter, nuller, outdated};
use commonware_consensus::simplex::scheme::ed25519::Scheme;
use commonware_consensus::types::ViewDelta;
use commonware_cryptography::Sha256;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_p2p::Recipients;
use commonware_p2p::simulated::Oracle;
use commonware_p2p::utils::mux::{Builder as _, Muxer};
use commonware_runtime::deterministic::Context;
use commonware_runtime::{Clock as _, Handle, Spawner as _, Supervisor as _};
use rand_core::Rng as _;
use sim::network::plan::Treason;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::validator::{RATE, Seat};

/// Frames that a flooder sends in a second.
const FLOOD_PER_S: u64 = 100;

/// Starts the traitor of `seat`, if it is of a kind that runs without a chain.
pub(crate) fn start(
    context: &Context,
    oracle: &Oracle<PublicKey, Context>,
    seat: &Seat,
    treason: Treason,
) -> Handle<()> {
    let control = oracle.control(seat.own().public.clone());
    let seat = seat.clone();
    let context = context
        .child("traitor")
        .with_attribute("number", seat.number);
    context.spawn(move |context| async move {
        let votes = control.register(0, RATE).await.unwrap();
        match treason {
            Treason::Flooder => {
                let mut wires = vec![votes];
                for channel in 1..6 {
                    wires.push(control.register(channel, RATE).await.unwrap());
                }
                flood(context, wires).await;
            }
            treason => vote(context, votes, &seat, treason).await,
        }
    })
}

/// Votes in each epoch that it hears of.
async fn vote<S, R>(context: Context, (sender, receiver): (S, R), seat: &Seat, treason: Treason)
where
    S: commonware_p2p::Sender<PublicKey = PublicKey>,
    R: commonware_p2p::Receiver<PublicKey = PublicKey>,
{
    let divided = Muxer::builder(context.child("mux"), sender, receiver);
    let (muxer, mut mux, mut others) = divided.with_backup().build();
    muxer.start();
    let mut entered = BTreeSet::new();
    while let Some((epoch, _)) = others.recv().await {
        let Some(scheme) = scheme(seat, epoch) else {
            continue;
        };
        // A traitor that stumbles over what it hears is silent until the next epoch.
        if !entered.insert(epoch) {
            continue;
        }
        let Ok(votes) = mux.register(epoch).await else {
            return;
        };
        let own = context.child("epoch").with_attribute("epoch", epoch);
        let _task = match treason {
            Treason::Conflicter => {
                conflicter::Conflicter::<_, _, Sha256>::new(own, conflicter::Config { scheme })
                    .start(votes)
            }
            Treason::Nuller => {
                nuller::Nuller::<_, _, Sha256>::new(own, nuller::Config { scheme }).start(votes)
            }
            _ => outdated::Outdated::<_, _, Sha256>::new(
                own,
                outdated::Config {
                    scheme,
                    view_delta: ViewDelta::new(3),
                },
            )
            .start(votes),
        };
    }
}

/// What the traitor of `seat` votes with in `epoch`, if it validates there.
fn scheme(seat: &Seat, epoch: u64) -> Option<Scheme> {
    let voters = seat.committees.voters(epoch)?;
    let own = PrivateKey::decode(Copying(seat.config.seed.as_slice())).unwrap();
    Scheme::signer(&seat.config.namespace, voters, own)
}

/// Sends noise on every channel, and now and then what it heard there, changed in one byte.
async fn flood<S, R>(mut context: Context, mut wires: Vec<(S, R)>)
where
    S: commonware_p2p::Sender<PublicKey = PublicKey>,
    R: commonware_p2p::Receiver<PublicKey = PublicKey>,
{
    let mut heard = vec![Vec::new(); wires.len()];
    loop {
        context
            .sleep(Duration::from_millis(1_000 / FLOOD_PER_S))
            .await;
        let draw = context.next_u64();
        let at = (draw >> 8) as usize % wires.len();
        let (sender, receiver) = &mut wires[at];
        if draw.is_multiple_of(4) {
            let next = context.sleep(Duration::from_millis(20));
            tokio::select! {
                biased;
                message = receiver.recv() => {
                    let Ok((_, message)) = message else { return };
                    heard[at] = message.as_ref().to_vec();
                }
                () = next => {}
            }
        }
        let mut frame = heard[at].clone();
        if draw.is_multiple_of(3) || frame.is_empty() {
            frame = vec![0; 1 + (draw >> 16) as usize % 2_000];
            context.fill_bytes(&mut frame);
        } else {
            let byte = (draw >> 32) as usize % frame.len();
            frame[byte] ^= 1 << (draw % 8);
        }
        sender.send(Recipients::All, frame, false);
    }
}
