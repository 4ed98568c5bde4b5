//! HOOKS: whatsapp.

#[derive(Debug)]
pub(super) struct Whatsapp;
impl Whatsapp {
    pub(super) async fn send(&self, _message: &super::Message) -> Result<String, super::SendError> {
        todo!()
    }
}
