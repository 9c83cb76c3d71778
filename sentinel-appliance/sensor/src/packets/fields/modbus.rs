//! Modbus. Field names of the guide, section 3.1.3, and of the application protocol, section 6.

use sentinel_dissect::application::modbus;
use sentinel_units::service;

use super::layout::{Layout, Sort, number_or_word};
use super::members::{Context, Members};

pub(super) const HEADER: Layout = Layout {
    names: ".transaction_id .protocol_id .length unit_id",
    fields: &[(0, Sort::Number(2)), (2, Sort::Number(2)), (4, Sort::Number(2)), (6, Sort::Number(1))],
};
/// Start and number of coils or registers, of the requests that have them (functions 1 to 6, 15, 16).
const RANGE: Layout =
    Layout { names: "starting_address quantity", fields: &[(8, Sort::Number(2)), (10, Sort::Number(2))] };
const WRITE_ONE: Layout = Layout { names: "output_address output_value", fields: RANGE.fields };
/// Functions of the public codes (section 5.1).
const FUNCTIONS: &str = ",read_coils,read_discrete_inputs,read_holding_registers,read_input_registers,write_single_coil,\
    write_single_register,read_exception_status,diagnostics,11:get_comm_event_counter,get_comm_event_log,15:write_multiple_coils,\
    write_multiple_registers,report_server_id,20:read_file_record,write_file_record,mask_write_register,\
    read_write_multiple_registers,read_fifo_queue,43:encapsulated_interface_transport";
const EXCEPTIONS: &str = ",illegal_function,illegal_data_address,illegal_data_value,server_device_failure,acknowledge,\
    server_device_busy,8:memory_parity_error,10:gateway_path_unavailable,gateway_target_failed";

pub(super) fn write<'p>(bytes: &'p [u8], context: Context, members: &mut Members<'_>) -> &'p [u8] {
    let Some((message, behind)) = modbus::message(bytes) else { return &[] };
    HEADER.write(message, members);
    let function = message.get(7).copied().unwrap_or(0);
    number_or_word("function_code", FUNCTIONS, (function & 0x7f).into(), members);
    let is_request = service::MODBUS.server.tcp.contains(&context.ports.1.0);
    match function {
        0x80.. => {
            number_or_word(
                "exception_code",
                EXCEPTIONS,
                message.get(8).copied().unwrap_or(0).into(),
                members,
            );
        }
        5 | 6 => WRITE_ONE.write(message, members),
        1..=4 | 15 | 16 if is_request => RANGE.write(message, members),
        _ => {}
    }
    behind
}
