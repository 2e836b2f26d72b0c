// Runs a signature of an export the way tensorflow_model_server does: TensorFlow's C++ loader, a
// session, no Python.
//
//   load_export EXPORT SIGNATURE INPUTS OUTPUTS
//
// INPUTS and OUTPUTS are TFRecord files of tensorflow.NamedTensorProto.

#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/cc/saved_model/util.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/lib/io/record_reader.h"
#include "tensorflow/core/lib/io/record_writer.h"
#include "tensorflow/core/protobuf/named_tensor.pb.h"

namespace tf = tensorflow;

absl::Status Run(const std::string& folder, const std::string& name, const std::string& inputs,
                 const std::string& outputs) {
  tf::Env* env = tf::Env::Default();
  google::protobuf::Map<std::string, tf::TensorProto> request;
  std::unique_ptr<tf::RandomAccessFile> source;
  TF_RETURN_IF_ERROR(env->NewRandomAccessFile(inputs, &source));
  tf::io::SequentialRecordReader reader(source.get());
  tf::tstring record;
  tf::NamedTensorProto tensor;
  while (reader.ReadRecord(&record).ok()) {
    if (!tensor.ParseFromArray(record.data(), record.size())) return tf::errors::DataLoss(inputs);
    request[tensor.name()] = tensor.tensor();
  }

  tf::SavedModelBundle bundle;
  TF_RETURN_IF_ERROR(tf::LoadSavedModel({}, {}, folder, {"serve"}, &bundle));
  const tf::SignatureDef& signature = bundle.GetSignatures().at(name);
  std::vector<std::pair<std::string, tf::Tensor>> feeds;  // Absent inputs with their defaults.
  TF_RETURN_IF_ERROR(tf::saved_model::GetInputValues(signature, request, feeds));
  std::vector<std::string> fetches;
  for (const auto& output : signature.outputs()) fetches.push_back(output.second.name());
  std::vector<tf::Tensor> results;
  TF_RETURN_IF_ERROR(bundle.GetSession()->Run(feeds, fetches, {}, &results));

  std::unique_ptr<tf::WritableFile> sink;
  TF_RETURN_IF_ERROR(env->NewWritableFile(outputs, &sink));
  tf::io::RecordWriter writer(sink.get());
  auto result = results.begin();
  for (const auto& output : signature.outputs()) {
    tensor.set_name(output.first);
    (result++)->AsProtoTensorContent(tensor.mutable_tensor());
    TF_RETURN_IF_ERROR(writer.WriteRecord(tensor.SerializeAsString()));
  }
  TF_RETURN_IF_ERROR(writer.Close());
  return sink->Close();
}

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "usage: load_export EXPORT SIGNATURE INPUTS OUTPUTS\n";
    return 2;
  }
  const absl::Status status = Run(arguments[1], arguments[2], arguments[3], arguments[4]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
