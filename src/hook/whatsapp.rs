//! HOOKS: whatsapp.
