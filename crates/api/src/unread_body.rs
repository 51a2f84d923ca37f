//! Bodies in chunks that nobody has read to their end when the answer is sent.
//!
//! Where a body's length is known, the HTTP library closes the connection behind such an answer. Of one in chunks it reads on for as long
//! as the sender likes, a byte an hour or none at all, with no clock running, unless somebody still holds the body: so the answer does.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, Service, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::Stream;

/// A request's body that two hold: who reads it, and the answer.
#[derive(Clone)]
struct SharedBody(Rc<RefCell<Payload>>);

impl Stream for SharedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer's body that holds the request's.
pub struct Holding {
    answer: BoxBody,
    _request: SharedBody,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}

/// Wraps every request, outermost: an answer to a body in chunks holds that body.
///
/// # Errors
///
/// What the wrapped service fails with, unchanged.
pub fn with_body_held<S, B>(
    mut request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B, Holding>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let held = request.headers().contains_key(TRANSFER_ENCODING).then(|| {
        let body = SharedBody(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
        body
    });
    let answered = service.call(request);
    async move {
        let answered = answered.await?;
        Ok(match held {
            None => answered.map_body(|_, body| EitherBody::left(body)),
            Some(held) => {
                answered.map_body(|_, body| EitherBody::right(Holding { answer: body.boxed(), _request: held }))
            }
        })
    }
}
