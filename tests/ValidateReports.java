import com.pixelmed.validate.DicomSRValidator;

/** What PixelMed says of each file: one start of Java, which costs more than a report does. */
class ValidateReports {
    public static void main(String[] paths) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String path : paths) {
            System.out.println("File: " + path);
            System.out.println(validator.validate(path));
        }
    }
}
